"""What the compose program makes of docker-compose.yml, and what Grafana is given to read."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml

from exporter import SERVICE_NAME, __version__
from exporter.config.settings import VARIABLES, load_settings
from exporter.config.values import parse_duration
from exporter.doctor.targets import EXPORTER, load_targets
from exporter.doctor.targets import SERVERS as TARGETS
from exporter.errors import SettingsError
from exporter.metrics.instruments import INSTRUMENTS
from grafana.access.settings import load_settings as load_access_settings
from tests.stack.build import ALERTMANAGER, COLLECTOR_RELEASE, PROMETHEUS
from tests.stack.substitution import ROOT
from tests.verify.docs import pages

Tree = Mapping[str, Any]

SERVERS = ("prometheus", "alertmanager", "grafana", "loki", "tempo", "otel-collector")
SERVICES = (SERVICE_NAME, *SERVERS, "otel-collector-volume", "grafana-access")
DEMO = "demo-gateway"
HELPER = "otel-collector-volume"
"""Gives the collector its volume, and ends."""
ACCESS = "grafana-access"
"""Brings Grafana to its access rules, and ends."""
ONE_SHOTS = (HELPER, ACCESS)

REQUIRED = ("GATEWAY_API_URL", "ADMIN_KEY", "GRAFANA_ADMIN_PASSWORD")
ENFORCED = ("GATEWAY_API_URL", "GRAFANA_ADMIN_PASSWORD")
"""What compose itself asks for; the key may be in a file instead, and the exporter asks for one of both."""
SECRETS = {
    (SERVICE_NAME, "ADMIN_KEY"): "own-key",
    (DEMO, "ADMIN_KEY"): "own-key",
    ("grafana", "GF_SECURITY_ADMIN_PASSWORD"): "own-password",
    (ACCESS, "GRAFANA_ADMIN_PASSWORD"): "own-password",
}
OWN_VALUES = {
    "GATEWAY_API_URL": "https://api.example.com",
    "ADMIN_KEY": "own-key",
    "GRAFANA_ADMIN_PASSWORD": "own-password",
}
SECRET_FILES = (
    ("ADMIN_KEY_FILE", SERVICE_NAME),
    ("WEB_CONFIG_FILE", SERVICE_NAME),
    ("CUSTOM_METRICS_FILE", SERVICE_NAME),
    ("SLACK_API_URL_FILE", "alertmanager"),
    ("SMTP_AUTH_PASSWORD_FILE", "alertmanager"),
    ("MSTEAMS_WEBHOOK_URL_FILE", "alertmanager"),
    ("PAGERDUTY_ROUTING_KEY_FILE", "alertmanager"),
    ("WEBHOOK_URL_FILE", "alertmanager"),
    ("WATCHDOG_URL_FILE", "alertmanager"),
)
"""Variables that name a file of the host, and who sees it."""
NOT_PASSED = {
    "METRICS_PORT": "the port that is published and scraped",
    "METRICS_HOST": "the container's own addresses are right",
}
"""Settings of the exporter that compose leaves at their defaults, and why."""

BUILT = {
    "prom/prometheus": PROMETHEUS.release,
    "prom/alertmanager": ALERTMANAGER.release,
    "otel/opentelemetry-collector-contrib": COLLECTOR_RELEASE,
    SERVICE_NAME: __version__,
}
"""Images of what the tests of the stack run, at the same release."""
NOT_BUILT = {
    **dict.fromkeys(("grafana/loki", "grafana/tempo", "grafana/grafana"), "tests take the machine's own"),
    "busybox": "only gives a volume away",
}
"""Images of what the tests do not build, and why."""

PROGRAMS = {
    "prom/prometheus": ({"wget"}, "made from busybox"),
    "prom/alertmanager": ({"wget", "/bin/sh"}, "made from busybox"),
    "grafana/grafana": ({"wget"}, "made from Alpine, whose busybox has it"),
    "grafana/loki": ({"/usr/bin/loki"}, "from 3.6 on without shell and wget, but the program asks itself"),
    "grafana/tempo": ({"/tempo"}, "without shell and wget; from 3.0 on the program asks itself"),
    "otel/opentelemetry-collector-contrib": (set[str](), "made from nothing; it cannot ask itself"),
    SERVICE_NAME: ({"python"}, "made from Python"),
    "busybox": (set[str](), "ends at once"),
}
"""What a health check or an entrypoint may call in each image, and why it is there."""

USERS = {
    SERVICE_NAME: ("65532:65532", "the Dockerfile's"),
    DEMO: ("65532:65532", "the Dockerfile's"),
    ACCESS: ("65532:65532", "the Dockerfile's"),
    "prometheus": ("65534:65534", "nobody, who owns /prometheus in the image"),
    "alertmanager": ("65534:65534", "nobody, who owns /alertmanager in the image"),
    "grafana": ("472:0", "grafana, who owns /var/lib/grafana in the image"),
    "loki": ("10001:10001", "loki, who owns /loki in the image"),
    "tempo": ("10001:10001", "tempo, who owns /var/tempo in the image"),
    "otel-collector": ("10001:10001", "the image's, which has no folder for its data"),
    HELPER: ("0:0", "only root gives files away; it has that capability and no other"),
}
DATA = {
    "prometheus": "/prometheus",
    "alertmanager": "/alertmanager",
    "grafana": "/var/lib/grafana",
    "loki": "/loki",
    "tempo": "/var/tempo",
    "otel-collector": "/var/lib/otelcol",
    HELPER: "/var/lib/otelcol",
}
"""Where each server keeps its data, on a volume with its name."""

FOR_ALL = {SERVICE_NAME: 8001, "grafana": 3000}
FOR_THIS_MACHINE = {"prometheus": 9090, "alertmanager": 9093}

DASHBOARDS = ROOT / "grafana" / "dashboards"
HOME = "gatewayz-provider-management.json"
PROVISIONING = ROOT / "grafana" / "provisioning"
DATA_SOURCES = PROVISIONING / "datasources" / "datasources.yaml"
PROVIDERS = PROVISIONING / "dashboards" / "dashboards.yaml"
MEBIBYTE = 2**20

Config = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def config(programs: Mapping[str, Path]) -> Config:
    """Run `docker compose config` in the project, with nothing from this process' environment."""

    def run(env_file: Path, option: str, *profiles: str) -> subprocess.CompletedProcess[str]:
        before = [f"--env-file={env_file}", *(f"--profile={profile}" for profile in profiles)]
        return subprocess.run(
            [str(programs["compose"]), "--file=docker-compose.yml", *before, "config", option],
            cwd=ROOT,
            env={"PATH": os.environ["PATH"]},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    return run


def services_of(result: subprocess.CompletedProcess[str]) -> Tree:
    """Return the services in the output of the compose program, which has nothing to complain about."""
    assert (0, "") == (result.returncode, result.stderr)
    services: Tree = json.loads(result.stdout)["services"]
    return services


def env_file(folder: Path, values: Mapping[str, str]) -> Path:
    """Write a file of variables."""
    path = folder / "variables.env"
    path.write_text("".join(f"{name}={value}\n" for name, value in values.items()), encoding="utf-8")
    return path


def read_env(name: str) -> dict[str, str]:
    """Return the variables of a file of the project; each has a comment above it."""
    lines = (ROOT / name).read_text(encoding="utf-8").splitlines()
    assert [] == [
        line
        for above, line in zip(["", *lines], lines, strict=False)
        if line and not line.startswith("#") and not above.startswith("# ")
    ]
    split = (line.partition("=") for line in lines if line and not line.startswith("#"))
    return {variable: value for variable, _, value in split}


@pytest.fixture(scope="module")
def demo(config: Config) -> Tree:
    """The services of the demonstration."""
    return services_of(config(ROOT / ".env.demo", "--format=json", "demo"))


@pytest.fixture(scope="module")
def own(config: Config, tmp_path_factory: pytest.TempPathFactory) -> Tree:
    """The services for a gateway of one's own, with only the required variables set."""
    path = env_file(tmp_path_factory.mktemp("own"), OWN_VALUES)
    return services_of(config(path, "--format=json"))


def repository(service: Tree) -> str:
    """Return the name of a service's image without its tag."""
    return str(service["image"]).rpartition(":")[0]


def binds(service: Tree) -> Mapping[str, Path]:
    """Return what of the project is mounted, by its place in the container."""
    return {
        volume["target"]: Path(volume["source"])
        for volume in service.get("volumes", ())
        if volume["type"] == "bind"
    }


def parsed(path: Path) -> Any:
    """Return the content of a YAML file."""
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def texts(tree: Any) -> Iterator[str]:
    """Yield every text below a parsed file, keys excepted."""
    if isinstance(tree, Mapping):
        for value in tree.values():
            yield from texts(value)
    elif isinstance(tree, Sequence) and not isinstance(tree, str):
        for value in tree:
            yield from texts(value)
    elif isinstance(tree, str):
        yield tree


def test_services(own: Tree, demo: Tree) -> None:
    """The services have the names that people type, as containers too; the demo adds its gateway only."""
    assert set(SERVICES) == set(own)
    assert {*SERVICES, DEMO} == set(demo)
    assert {name: name for name in demo} == {
        name: service["container_name"] for name, service in demo.items()
    }


def test_demo_file_without_the_profile(config: Config) -> None:
    """Without the profile there is no demo gateway, and what would wait for it does not."""
    services = services_of(config(ROOT / ".env.demo", "--format=json"))

    assert set(SERVICES) == set(services)
    assert {False} == {
        service["depends_on"][DEMO]["required"]
        for service in services.values()
        if DEMO in service.get("depends_on", {})
    }


@pytest.mark.parametrize("missing", ENFORCED)
@pytest.mark.parametrize("value", [None, ""], ids=["unset", "empty"])
def test_required_variable(config: Config, tmp_path: Path, missing: str, value: str | None) -> None:
    """Without a required variable nothing starts; the message says which it is and where it goes."""
    values = {**OWN_VALUES, missing: value}

    given = {name: text for name, text in values.items() if text is not None}
    result = config(env_file(tmp_path, given), "--quiet")

    assert (1, "") == (result.returncode, result.stdout)
    message = (
        rf"required variable {missing} is missing a value: it is the .+; set it in \.env \(see \.env\.example"
    )
    assert re.search(message, result.stderr)
    assert [] == [text for text in ("own-key", "own-password") if text in result.stderr]


def test_secrets_come_from_outside(own: Tree, demo: Tree) -> None:
    """The only variables that look like secrets have the values that were given, and no default."""
    found = {
        (service, name): value
        for services in (own, {DEMO: demo[DEMO]})
        for service, one in services.items()
        for name, value in one.get("environment", {}).items()
        if re.search("(KEY|PASSWORD|SECRET|TOKEN)(?!_FILE)", name)
    }
    demo_key = read_env(".env.demo")["ADMIN_KEY"]

    assert {**SECRETS, (DEMO, "ADMIN_KEY"): demo_key} == found
    text = (ROOT / "docker-compose.yml").read_text(encoding="utf-8")
    assert [] == re.findall(r"\$\{\w*(?:KEY|PASSWORD|SECRET|TOKEN)(?!_FILE)\w*(?!:\?|:-\})\W", text)


def test_env_example(config: Config, tmp_path: Path) -> None:
    """The example has every variable that compose reads and no other, the required first, all empty."""
    table = config(env_file(tmp_path, OWN_VALUES), "--variables").stdout.splitlines()[1:]
    known = {row.split()[0]: row.split()[1] == "true" for row in table}
    example = read_env(".env.example")

    assert set(known) == set(example)
    assert set(ENFORCED) == {name for name, required in known.items() if required}
    assert list(REQUIRED) == list(example)[: len(REQUIRED)]
    assert {""} == set(example.values())


def test_env_demo(demo: Tree) -> None:
    """The demo's variables are known, its secrets say what they are, and only this machine sees it."""
    values = read_env(".env.demo")

    assert set(REQUIRED) <= set(values) <= set(read_env(".env.example"))
    assert all("demo" in values[name] and "nothing" in values[name] for name in REQUIRED[1:])
    url = urlsplit(values["GATEWAY_API_URL"])
    assert ("http", DEMO, True) == (url.scheme, url.hostname, f"0.0.0.0:{url.port}" in demo[DEMO]["command"])
    hosts = {port.get("host_ip") for service in demo.values() for port in service.get("ports", ())}
    assert {"127.0.0.1"} == hosts


def test_exporter_settings(own: Tree) -> None:
    """Each setting of the exporter is passed on or left out for a reason, and the exporter takes them."""
    environment = own[SERVICE_NAME]["environment"]

    assert {variable.name for variable in VARIABLES} == {
        *NOT_PASSED,
        *(variable.name for variable in VARIABLES if variable.name in environment),
    }
    settings = load_settings(environment)
    defaults = {variable.name: variable.default for variable in VARIABLES}
    assert (parse_duration(defaults["SCRAPE_INTERVAL"]), ()) == (settings.interval, settings.warnings)
    assert ("http://otel-collector:4318",) == settings.telemetry.endpoints


def test_doctor_knows_all_servers(own: Tree) -> None:
    """`doctor` in the exporter's container finds every server, past any proxy, where it listens."""
    environment = own[SERVICE_NAME]["environment"]
    urls = load_targets(environment, {}).urls

    assert {target.name for target in TARGETS} - {EXPORTER} == set(urls)
    hosts = {urlsplit(url).hostname for url in urls.values()}
    assert set() == hosts - set(own)
    assert set() == hosts - set(environment["NO_PROXY"].split(","))
    scraped = {
        target
        for job in parsed(ROOT / "prometheus" / "prom.yml")["scrape_configs"]
        for group in job["static_configs"]
        for target in group["targets"]
    }
    health = parsed(ROOT / "otel" / "collector.yaml")["extensions"]["health_check"]["endpoint"]
    places = {urlsplit(url).netloc for name, url in urls.items()}
    others = {"prometheus:9090", f"otel-collector:{health.rpartition(':')[2]}"}
    assert set() == places - scraped - others


def test_images_are_pinned(demo: Tree) -> None:
    """Every image has the tag of a release."""
    images = [service["image"] for service in demo.values()]

    assert [] == [image for image in images if not re.fullmatch(r"[a-z/-]+:v?\d+\.\d+\.\d+", image)]


def test_releases(demo: Tree) -> None:
    """What runs in compose is what the tests of the stack run, as far as they can."""
    tags = {repository(service): service["image"].rpartition(":")[2] for service in demo.values()}

    assert {*BUILT, *NOT_BUILT} == set(tags)
    assert BUILT == {name: tag.removeprefix("v") for name, tag in tags.items() if name in BUILT}


def test_exporter_image(demo: Tree) -> None:
    """The image that is built here is shared, and never looked for elsewhere."""
    exporter = demo[SERVICE_NAME]

    assert ({"context": str(ROOT), "dockerfile": "Dockerfile"}, "build") == (
        exporter["build"],
        exporter["pull_policy"],
    )
    assert dict.fromkeys((DEMO, ACCESS), (exporter["image"], None, "never")) == {
        name: (demo[name]["image"], demo[name].get("build"), demo[name]["pull_policy"])
        for name in (DEMO, ACCESS)
    }


def test_mounted_files(demo: Tree) -> None:
    """All of the project's configuration is there and mounted, read-only."""
    mounts = {name: binds(service) for name, service in demo.items()}

    assert [] == [path for mount in mounts.values() for path in mount.values() if not any(path.iterdir())]
    assert {
        *(ROOT / name for name in ("prometheus", "alertmanager", "loki", "tempo", "otel")),
        *PROVISIONING.iterdir(),
        *([DASHBOARDS] if DASHBOARDS.exists() else []),
        ROOT / "grafana",
    } == {path for mount in mounts.values() for path in mount.values()}
    volumes = [volume for service in demo.values() for volume in service.get("volumes", ())]
    assert {(True, False)} == {
        (volume["read_only"], volume["bind"].get("create_host_path", False))
        for volume in volumes
        if volume["type"] == "bind"
    }


def test_named_files(demo: Tree) -> None:
    """Each file in a command or entrypoint is a file of the project, seen through its mount."""
    named = [
        (name, PurePosixPath(argument.partition("=")[2]))
        for name, service in demo.items()
        for argument in service["command"] or ()
        if re.match(r"--?config(\.file)?=", argument)
    ]
    named += [
        (name, PurePosixPath(argument))
        for name, service in with_entrypoint(demo)
        for argument in service["entrypoint"][1:]
        if argument.startswith("/")
    ]

    assert {"prometheus", "alertmanager", "loki", "tempo", "otel-collector"} == {name for name, _ in named}
    assert [] == [
        path
        for name, path in named
        if not (binds(demo[name]).get(str(path.parent), Path("nowhere")) / path.name).is_file()
    ]


def with_entrypoint(services: Tree) -> list[tuple[str, Tree]]:
    """Return the services that do not start as their image would."""
    return [(name, service) for name, service in services.items() if service["entrypoint"]]


def test_entrypoints(demo: Tree) -> None:
    """A program of the image starts them."""
    programs = {name: PROGRAMS[repository(service)][0] for name, service in with_entrypoint(demo)}

    assert "alertmanager" in programs
    assert [] == [
        name for name, service in with_entrypoint(demo) if service["entrypoint"][0] not in programs[name]
    ]


def test_data_is_on_volumes(demo: Tree) -> None:
    """Each server keeps its data on a volume of its own, where its configuration has them."""
    found = {
        name: (volume["source"], volume["target"])
        for name, service in demo.items()
        for volume in service.get("volumes", ())
        if volume["type"] == "volume"
    }

    assert {name: (name.removesuffix("-volume"), path) for name, path in DATA.items()} == found
    assert DATA["loki"] == parsed(ROOT / "loki" / "loki.yaml")["common"]["path_prefix"]
    collector = parsed(ROOT / "otel" / "collector.yaml")["extensions"]["file_storage"]["directory"]
    assert DATA["otel-collector"] == collector
    tempo = parsed(ROOT / "tempo" / "tempo.yaml")
    assert [] == [path for path in _paths(tempo) if not path.startswith(f"{DATA['tempo']}/")]
    assert [DATA["prometheus"], DATA["alertmanager"]] == [
        next(argument.partition("=")[2] for argument in demo[name]["command"] if argument.startswith(option))
        for name, option in (("prometheus", "--storage.tsdb.path="), ("alertmanager", "--storage.path="))
    ]


def _paths(tree: Any) -> Iterator[str]:
    """Yield the values of all keys that are called path."""
    if isinstance(tree, Mapping):
        for key, value in tree.items():
            yield from [value] if key == "path" else _paths(value)


def test_health_checks(demo: Tree) -> None:
    """Every service whose image can ask itself does, by a program of the image and without a shell."""
    for name, service in demo.items():
        programs, _ = PROGRAMS[repository(service)]
        if name == SERVICE_NAME:
            # The image's own, which tests/verify/test_image.py looks at.
            assert "healthcheck" not in service
        elif name == ACCESS:
            # The image's own would ask an exporter.
            assert {"disable": True} == service["healthcheck"]
        elif programs:
            kind, program, *_ = service["healthcheck"]["test"]
            assert ("CMD", True) == (kind, program in programs)
            assert {"interval", "timeout", "retries"} <= set(service["healthcheck"])
        else:
            assert "healthcheck" not in service


def test_health_checks_ask_the_right_port(demo: Tree) -> None:
    """They name the port and an address, since localhost may be one that nobody listens on."""
    asked = {
        name: address
        for name, service in demo.items()
        for address in re.findall(
            r"https?://([^/']+)", " ".join(service.get("healthcheck", {}).get("test", ()))
        )
    }

    assert {
        "prometheus": "127.0.0.1:9090",
        "alertmanager": "127.0.0.1:9093",
        "grafana": "127.0.0.1:3000",
        DEMO: "127.0.0.1:8080",
    } == asked


def test_order_can_be_kept(demo: Tree) -> None:
    """What is waited for until it is healthy has a health check; what until its end, ends."""
    wanted = [
        (dependency, terms["condition"])
        for service in demo.values()
        for dependency, terms in service.get("depends_on", {}).items()
    ]

    assert [HELPER] == [name for name, condition in wanted if condition == "service_completed_successfully"]
    assert "no" == demo[HELPER]["restart"]
    for name, condition in wanted:
        if condition == "service_healthy":
            assert "healthcheck" in demo[name]
        else:
            assert condition == "service_started" or name == HELPER


def test_ports(own: Tree) -> None:
    """Exporter and Grafana are there for all, Prometheus and Alertmanager for this machine only."""
    found = {
        name: [(port.get("host_ip"), port["published"], port["target"]) for port in service["ports"]]
        for name, service in own.items()
        if "ports" in service
    }

    assert {
        **{name: [("0.0.0.0", str(port), port)] for name, port in FOR_ALL.items()},
        **{name: [("127.0.0.1", str(port), port)] for name, port in FOR_THIS_MACHINE.items()},
    } == found


def test_users(demo: Tree) -> None:
    """Every process is the image's own user, by number, and none but the helper is root."""
    assert {name: user for name, (user, _) in USERS.items()} == {
        name: service["user"] for name, service in demo.items()
    }


def test_rights(demo: Tree) -> None:
    """No service has a capability, may gain one, writes to its image or sees the host."""
    for name, service in demo.items():
        assert ["ALL"] == service["cap_drop"]
        assert (["CHOWN"] if name == HELPER else None) == service.get("cap_add")
        assert ["no-new-privileges:true"] == service["security_opt"]
        assert True is service["read_only"]
        assert ["/tmp:size=64m,mode=1777"] == service["tmpfs"]
        assert ("none" if name == HELPER else None) == service.get("network_mode")
        assert set() == {"privileged", "pid", "ipc", "devices", "userns_mode"} & set(service)


def test_limits(demo: Tree) -> None:
    """Each service has a limit of memory, rotates its log, and comes back unless a person stopped it."""
    for name, service in demo.items():
        assert 16 * MEBIBYTE <= int(service["mem_limit"]) <= 2048 * MEBIBYTE
        assert {"driver": "json-file", "options": {"max-size": "10m", "max-file": "3"}} == service["logging"]
        assert ("no" if name in ONE_SHOTS else "unless-stopped") == service["restart"]


def test_collector_limits_itself_first(demo: Tree) -> None:
    """The collector's own limit is well below the container's, which would kill it."""
    limiter = parsed(ROOT / "otel" / "collector.yaml")["processors"]["memory_limiter"]

    assert limiter["limit_mib"] * 1.5 * MEBIBYTE <= int(demo["otel-collector"]["mem_limit"])


def test_prometheus_takes_what_tempo_writes(demo: Tree) -> None:
    """Prometheus has the receiver and the exemplars that Tempo's generator needs, and lets nobody stop it."""
    command = demo["prometheus"]["command"]

    assert {"--web.enable-remote-write-receiver", "--enable-feature=exemplar-storage"} <= set(command)
    assert set() == {"--web.enable-lifecycle", "--web.enable-admin-api"} & set(command)


def test_grafana_is_closed(own: Tree) -> None:
    """Grafana knows one user, lets nobody else in or sign up, and reports and replaces nothing."""
    environment = own["grafana"]["environment"]

    assert "admin" == environment["GF_SECURITY_ADMIN_USER"]
    assert "Viewer" == environment["GF_USERS_AUTO_ASSIGN_ORG_ROLE"]
    assert {"false"} == {
        environment[name]
        for name in (
            "GF_AUTH_ANONYMOUS_ENABLED",
            "GF_USERS_ALLOW_SIGN_UP",
            "GF_USERS_VIEWERS_CAN_EDIT",
            "GF_ANALYTICS_REPORTING_ENABLED",
            "GF_PLUGINS_PREINSTALL_AUTO_UPDATE",
        )
    }


def test_access_rules_are_applied(own: Tree) -> None:
    """A program of the image's working directory asks Grafana, as soon as it is well, as its admin."""
    service, environment = own[ACCESS], own[ACCESS]["environment"]
    workdir = re.findall(r"^WORKDIR (.+)$", (ROOT / "Dockerfile").read_text(encoding="utf-8"), re.MULTILINE)

    assert ["python", "-m", "grafana.access"] == service["entrypoint"]
    assert {f"{workdir[-1]}/grafana": ROOT / "grafana"} == binds(service)
    assert {"grafana": "service_healthy"} == {
        name: terms["condition"] for name, terms in service["depends_on"].items()
    }
    settings = load_access_settings(environment, None)
    assert ("http://grafana:3000", own["grafana"]["environment"]["GF_SECURITY_ADMIN_USER"]) == (
        settings.url,
        settings.credentials.user,
    )
    assert urlsplit(settings.url).hostname in environment["NO_PROXY"].split(",")


def test_home_dashboard(own: Tree) -> None:
    """Grafana's home page is the dashboard of that name as soon as there is one."""
    (provider,) = parsed(PROVIDERS)["providers"]
    folder = provider["options"]["path"]
    expected = f"{folder}/{HOME}" if (DASHBOARDS / HOME).exists() else None

    assert expected == own["grafana"]["environment"].get("GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH")
    assert (DASHBOARDS if DASHBOARDS.exists() else None) == binds(own["grafana"]).get(folder)


def test_addresses_are_services(own: Tree) -> None:
    """Whatever Prometheus scrapes and Grafana asks is a service of this file, or itself."""
    prometheus = parsed(ROOT / "prometheus" / "prom.yml")
    scraped = {
        target.partition(":")[0]
        for job in (*prometheus["scrape_configs"], *prometheus["alerting"]["alertmanagers"])
        for group in job["static_configs"]
        for target in group["targets"]
    }
    asked = {urlsplit(source["url"]).hostname for source in data_sources().values()}

    assert {
        SERVICE_NAME,
        "alertmanager",
        "loki",
        "tempo",
        "otel-collector",
        "grafana",
        "localhost",
    } == scraped
    assert {"prometheus", "loki", "tempo", "alertmanager"} == asked
    assert set() == (scraped | asked) - {*own, "localhost"}


def data_sources() -> Mapping[str, Tree]:
    """Return Grafana's data sources by their uids."""
    return {source["uid"]: source for source in parsed(DATA_SOURCES)["datasources"]}


def as_grafana_reads(text: str) -> str:
    """Return what Grafana makes of a text in which every $ is doubled."""
    return text.replace("$$", "$")


def test_data_sources() -> None:
    """The data sources have fixed uids, are their own types, and cannot be changed in Grafana."""
    sources = data_sources()

    assert ["prometheus", "loki", "tempo", "alertmanager"] == list(sources)
    assert list(sources) == [source["type"] for source in sources.values()]
    assert {(False, "proxy")} == {(source["editable"], source["access"]) for source in sources.values()}
    assert ["prometheus"] == [uid for uid, source in sources.items() if source.get("isDefault")]


def test_dollars_are_doubled() -> None:
    """Grafana replaces variables in its files and none is meant for that: what is left is written twice."""
    found = [text for text in texts(parsed(DATA_SOURCES)) if "$" in text]

    assert 3 <= len(found)
    assert [] == [text for text in found if "$" in text.replace("$$", "")]


def test_correlations() -> None:
    """Each kind of data leads to the others: logs, traces, metrics, alerts."""
    options = {uid: source["jsonData"] for uid, source in data_sources().items()}
    derived, to_logs = options["loki"]["derivedFields"][0], options["tempo"]["tracesToLogsV2"]

    assert ("label", "trace_id", "tempo", "${__value.raw}") == (
        derived["matcherType"],
        derived["matcherRegex"],
        derived["datasourceUid"],
        as_grafana_reads(derived["url"]),
    )
    assert ("loki", True, '{${__tags}} | trace_id="${__trace.traceId}"') == (
        to_logs["datasourceUid"],
        to_logs["customQuery"],
        as_grafana_reads(to_logs["query"]),
    )
    assert to_logs["spanStartTimeShift"].startswith("-")
    assert [{"key": "service.name", "value": "service"}] == to_logs["tags"]
    assert "prometheus" == options["tempo"]["tracesToMetrics"]["datasourceUid"]
    assert "prometheus" == options["tempo"]["serviceMap"]["datasourceUid"]
    assert "alertmanager" == options["prometheus"]["alertmanagerUid"]
    # Tempo's generator names the label of its exemplars so, unless it is told otherwise.
    assert [("traceID", "tempo")] == [
        (way["name"], way["datasourceUid"]) for way in options["prometheus"]["exemplarTraceIdDestinations"]
    ]


def test_metrics_of_the_correlations_exist() -> None:
    """The queries from a trace to metrics name only metrics that the exporter has."""
    queries = data_sources()["tempo"]["jsonData"]["tracesToMetrics"]["queries"]
    named = {name for row in queries for name in re.findall(r"gatewayz_\w+", row["query"])}

    assert 3 <= len(named)
    assert set() == {re.sub("_bucket$", "", name) for name in named} - {row.name for row in INSTRUMENTS}


def test_replicas_are_one_in_the_correlations() -> None:
    """The queries from a trace to metrics take `max` over replicas, or a quantile of all of them."""
    queries = data_sources()["tempo"]["jsonData"]["tracesToMetrics"]["queries"]

    assert [] == [
        row["query"]
        for row in queries
        if not row["query"].startswith(("max by (job, ", "histogram_quantile("))
    ]


def test_dashboard_provider() -> None:
    """The dashboards come from files, into a folder with a fixed uid, and stay as they are."""
    (provider,) = parsed(PROVIDERS)["providers"]

    assert ("file", "GatewayZ", "gatewayz", False, True, "/var/lib/grafana/dashboards") == (
        provider["type"],
        provider["folder"],
        provider["folderUid"],
        provider["allowUiUpdates"],
        provider["disableDeletion"],
        provider["options"]["path"],
    )


def channel_variables(script: str) -> set[str]:
    """Return the variables that start.sh reads."""
    prefixes = "SLACK|SMTP|EMAIL|MSTEAMS|PAGERDUTY|WEBHOOK|WATCHDOG|NOTIFY|GRAFANA|RUNBOOK"
    return set(re.findall(rf"\b(?:{prefixes})_[A-Z_]+\b", script))


def test_channels_without_variables(own: Tree) -> None:
    """What start.sh reads is passed on, all of it empty, and its secrets hold nothing."""
    script = (ROOT / "alertmanager" / "start.sh").read_text(encoding="utf-8")

    assert dict.fromkeys(channel_variables(script), "") == own["alertmanager"]["environment"]


def test_channels_are_explained() -> None:
    """The documentation has a row for each variable of the notifications, and no other."""
    script = (ROOT / "alertmanager" / "start.sh").read_text(encoding="utf-8")
    rows = pages.table(pages.section("docs/alerts.md", "Notifications"))

    assert channel_variables(script) == {name.strip("`") for name, *_ in rows}


@pytest.mark.parametrize(("variable", "service"), SECRET_FILES)
def test_secret_files(config: Config, tmp_path: Path, variable: str, service: str) -> None:
    """A file of the host is seen as a secret by one service alone; one that is not named is empty."""
    file, secret = tmp_path / "secret", variable.removesuffix("_FILE").lower()
    project = json.loads(
        config(env_file(tmp_path, {**OWN_VALUES, variable: str(file)}), "--format=json").stdout
    )

    assert f"/run/secrets/{secret}" == project["services"][service]["environment"][variable]
    assert {secret: str(file)} == {
        name: source["file"] for name, source in project["secrets"].items() if source["file"] != os.devnull
    }
    assert sorted(
        (service, variable.removesuffix("_FILE").lower()) for variable, service in SECRET_FILES
    ) == sorted(
        (name, used["source"]) for name, one in project["services"].items() for used in one.get("secrets", ())
    )


def test_key_in_a_file(config: Config, tmp_path: Path) -> None:
    """With ADMIN_KEY_FILE the key itself is not needed, and the exporter takes that of the file."""
    key = tmp_path / "key"
    key.write_text("own-key", encoding="utf-8")
    given = {**OWN_VALUES, "ADMIN_KEY": "", "ADMIN_KEY_FILE": str(key)}

    environment = services_of(config(env_file(tmp_path, given), "--format=json"))[SERVICE_NAME]["environment"]

    settings = load_settings({**environment, "ADMIN_KEY_FILE": str(key)})
    assert ("", "own-key") == (environment["ADMIN_KEY"], settings.admin_key.reveal())


def test_no_key(config: Config, tmp_path: Path) -> None:
    """Without a key the exporter says which variables can hold one."""
    given = {**OWN_VALUES, "ADMIN_KEY": ""}

    environment = services_of(config(env_file(tmp_path, given), "--format=json"))[SERVICE_NAME]["environment"]

    with pytest.raises(SettingsError, match="ADMIN_KEY is not set, nor ADMIN_KEY_FILE: one must hold"):
        load_settings(environment)
