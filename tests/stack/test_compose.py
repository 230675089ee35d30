"""What the compose program makes of docker-compose.yml, and what Grafana is given to read."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
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
from tests.stack.compose import OWN_VALUES, Compose, Tree
from tests.stack.servers import Programs
from tests.stack.substitution import ROOT
from tests.verify.docs import pages

DEMO = "demo-gateway"
HELPER = "otel-collector-volume"
"""Gives the collector its volume, and ends."""
CHECK = "file-check"
"""Reads what the servers read, and ends."""
ACCESS = "grafana-access"
"""Brings Grafana to its access rules, and ends."""
CONFIGURED = ("prometheus", "alertmanager", "loki", "tempo", "otel-collector")
"""Servers with a configuration file."""
SERVICES = {SERVICE_NAME, *CONFIGURED, "grafana", HELPER, CHECK, ACCESS}
ENDING = (HELPER, CHECK, ACCESS)

ENFORCED = ("GATEWAY_API_URL", "GRAFANA_ADMIN_PASSWORD")
"""What compose itself asks for; the key may be in a file instead, and the exporter asks for one of both."""
SECRETS = {
    (SERVICE_NAME, "ADMIN_KEY"): "own-key",
    ("grafana", "GF_SECURITY_ADMIN_PASSWORD"): "own-password",
    (ACCESS, "GRAFANA_ADMIN_PASSWORD"): "own-password",
}
SECRET_FILES = {
    SERVICE_NAME: ("ADMIN_KEY", "WEB_CONFIG", "CUSTOM_METRICS"),
    DEMO: ("ADMIN_KEY",),
    "alertmanager": (
        *("SLACK_API_URL", "SMTP_AUTH_PASSWORD", "MSTEAMS_WEBHOOK_URL"),
        *("PAGERDUTY_ROUTING_KEY", "WEBHOOK_URL", "WATCHDOG_URL"),
    ),
}
"""Variables that name a file of the host, without the ending _FILE, by who sees it."""
CERTIFICATES = ("REQUESTS_CA_BUNDLE", "SSL_CERT_FILE")
"""Those without that ending; the exporter sees the files."""
NOT_PASSED = {"METRICS_PORT", "METRICS_HOST", "PROMETHEUS_JOB", "PROMETHEUS_TENANT", "PROMETHEUS_USER"} | {
    "PROMETHEUS_PASSWORD",
    "PROMETHEUS_PASSWORD_FILE",
}
"""Settings of the exporter that compose leaves at their defaults, which fit the container and Prometheus."""

IMAGES: Mapping[str, tuple[str | None, set[str]]] = {
    "prom/prometheus": (PROMETHEUS.release, {"wget"}),
    "prom/alertmanager": (ALERTMANAGER.release, {"wget", "/bin/sh"}),
    "otel/opentelemetry-collector-contrib": (COLLECTOR_RELEASE, set()),
    # From 3.6 and 3.0 on these two are without shell and wget.
    "grafana/loki": (None, {"/usr/bin/loki"}),
    "grafana/tempo": (None, {"/tempo"}),
    "grafana/grafana": (None, {"wget"}),
    "busybox": (None, set()),
    SERVICE_NAME: (__version__, {"python"}),
}
"""The release that the tests of the stack build, and what a health check or an entrypoint may call."""
DATA = {
    "prometheus": "/prometheus",
    "alertmanager": "/alertmanager",
    "grafana": "/var/lib/grafana",
    "loki": "/loki",
    "tempo": "/var/tempo",
    "otel-collector": "/var/lib/otelcol",
    HELPER: "/var/lib/otelcol",
}
"""The data folder of each server, on a volume with its name."""
OWNERS = {"prometheus": "65534:65534", "alertmanager": "65534:65534", "grafana": "472:0"} | dict.fromkeys(
    ("loki", "tempo", "otel-collector"), "10001:10001"
)
"""The users of the images, who own these folders there."""
PORTS = {SERVICE_NAME: 8001, "grafana": 3000, "prometheus": 9090, "alertmanager": 9093}
FOR_ALL = (SERVICE_NAME, "grafana")
"""Whose port PUBLISH_ADDRESS publishes elsewhere."""
PORT_VARIABLES = {
    SERVICE_NAME: "EXPORTER_PORT",
    "grafana": "GRAFANA_PORT",
    "prometheus": "PROMETHEUS_PORT",
    "alertmanager": "ALERTMANAGER_PORT",
}
PROXIES = [
    name
    for proxy in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")
    for name in (proxy, proxy.lower())
]
"""What Docker's client configuration may set in every container."""
OUTSIDE = (SERVICE_NAME, "alertmanager")
"""Those that talk to servers outside."""

DASHBOARDS = ROOT / "grafana" / "dashboards"
PROVISIONING = ROOT / "grafana" / "provisioning"
MEBIBYTE = 2**20


@pytest.fixture(scope="module")
def compose(programs: Programs, tmp_path_factory: pytest.TempPathFactory) -> Compose:
    """The compose program with the project's file."""
    return Compose(programs["compose"], tmp_path_factory.mktemp("compose"), "docker-compose.yml")


@pytest.fixture(scope="module")
def demo(compose: Compose) -> Tree:
    """The services of the demonstration."""
    return compose.services(ROOT / ".env.demo")


@pytest.fixture(scope="module")
def own(compose: Compose) -> Tree:
    """The services for a gateway of one's own, with only the required variables set."""
    return compose.services(OWN_VALUES)


def read_env(name: str) -> dict[str, str]:
    """Return the variables of a file of the project; each has a comment above it."""
    lines = (ROOT / name).read_text(encoding="utf-8").splitlines()
    numbers = [number for number, line in enumerate(lines) if line and not line.startswith("#")]
    assert [] == [lines[number] for number in numbers if not lines[number - 1].startswith("# ")]
    split = (lines[number].partition("=") for number in numbers)
    return {variable: value for variable, _, value in split}


def repository(service: Tree) -> str:
    """Return the name of a service's image without its tag."""
    return str(service["image"]).partition(":")[0]


def tag(service: Tree) -> str:
    """Return the tag of a service's image, without a digest."""
    return str(service["image"]).partition(":")[2].partition("@")[0]


def volumes(services: Tree, kind: str) -> Iterator[tuple[str, Tree]]:
    """Yield the mounts of a kind with the names of their services."""
    for name, service in services.items():
        yield from ((name, mount) for mount in service.get("volumes", ()) if mount["type"] == kind)


def binds(service: Tree) -> Mapping[str, Path]:
    """Return what of the project is mounted, by its place in the container."""
    return {mount["target"]: Path(mount["source"]) for _, mount in volumes({"": service}, "bind")}


def parsed(path: str) -> Any:
    """Return the content of a YAML file of the project."""
    return yaml.safe_load((ROOT / path).read_text(encoding="utf-8"))


def below(tree: Any, key: str = "") -> Iterator[tuple[str, str]]:
    """Yield every text below a parsed file, with the key that it belongs to."""
    if isinstance(tree, Mapping):
        for name, value in tree.items():
            yield from below(value, name)
    elif isinstance(tree, Sequence) and not isinstance(tree, str):
        for value in tree:
            yield from below(value, key)
    elif isinstance(tree, str):
        yield key, tree


def test_services(compose: Compose, own: Tree, demo: Tree) -> None:
    """The demo has its gateway, for which others wait then; no two projects share a container's name."""
    assert SERVICES == set(own)
    assert {*SERVICES, DEMO} == set(demo)
    assert [] == [name for name, service in demo.items() if "container_name" in service]
    waiting = [service.get("depends_on", {}).get(DEMO) for service in own.values()]
    assert [False] == [terms["required"] for terms in waiting if terms]


def test_demo_is_another_project(compose: Compose) -> None:
    """The demo shares no volume and no network with the stack of a real gateway."""
    demo, own = compose.project(ROOT / ".env.demo"), compose.project(OWN_VALUES)

    for kind in ("volumes", "networks"):
        named = [{row["name"] for row in project[kind].values()} for project in (demo, own)]
        assert set() == named[0] & named[1]


@pytest.mark.parametrize("missing", ENFORCED)
@pytest.mark.parametrize("value", [None, ""], ids=["unset", "empty"])
def test_required_variable(compose: Compose, missing: str, value: str | None) -> None:
    """Without a required variable nothing starts; the message says which it is and where it goes."""
    values = {**OWN_VALUES, missing: value}

    complaint = compose.complaint({name: text for name, text in values.items() if text is not None})

    where = r"it is the .+; set it in \.env \(see \.env\.example"
    assert re.search(f"required variable {missing} is missing a value: {where}", complaint)
    assert [] == [text for text in ("own-key", "own-password") if text in complaint]


def test_secrets_come_from_outside(own: Tree, demo: Tree) -> None:
    """The only variables that look like secrets have the values of the environment, and no default."""
    found = {
        (service, name): value
        for service, one in {**own, DEMO: demo[DEMO]}.items()
        for name, value in one.get("environment", {}).items()
        if re.search("(KEY|PASSWORD|SECRET|TOKEN)(?!_FILE)", name)
    }
    text = (ROOT / "docker-compose.yml").read_text(encoding="utf-8")

    assert {**SECRETS, (DEMO, "ADMIN_KEY"): read_env(".env.demo")["ADMIN_KEY"]} == found
    assert [] == re.findall(r"\$\{\w*(?:KEY|PASSWORD|SECRET|TOKEN)(?!_FILE)\w*(?!:\?|:-\})\W", text)


def test_env_example(compose: Compose) -> None:
    """The example has every variable that compose reads and no other, the required first, all empty."""
    table = compose.run(OWN_VALUES, option="--variables").stdout.splitlines()[1:]
    known = {row.split()[0]: row.split()[1] == "true" for row in table}
    example = read_env(".env.example")

    assert set(known) == set(example)
    assert set(ENFORCED) == {name for name, required in known.items() if required}
    assert list(OWN_VALUES) == list(example)[: len(OWN_VALUES)]
    assert {""} == set(example.values())


def test_env_demo(demo: Tree) -> None:
    """The demo's variables are known, its secrets say what they are, and only this machine sees it."""
    values = read_env(".env.demo")
    url = urlsplit(values["GATEWAY_API_URL"])
    for name in ("COMPOSE_PROJECT_NAME", "COMPOSE_PROFILES"):
        assert "demo" in values.pop(name)

    assert set(OWN_VALUES) <= set(values) <= set(read_env(".env.example"))
    assert all("demo" in values[name] and "nothing" in values[name] for name in [*OWN_VALUES][1:])
    assert ("http", DEMO, True) == (url.scheme, url.hostname, f"0.0.0.0:{url.port}" in demo[DEMO]["command"])
    published = [port for service in demo.values() for port in service.get("ports", ())]
    assert {"127.0.0.1"} == {port.get("host_ip") for port in published}


def test_exporter_settings(own: Tree) -> None:
    """Each setting of the exporter is passed on or left out for a reason, and the exporter takes them."""
    environment = own[SERVICE_NAME]["environment"]
    defaults = {variable.name: variable.default for variable in VARIABLES}

    assert set(defaults) == NOT_PASSED | (set(defaults) & set(environment))
    settings = load_settings(environment)
    assert (parse_duration(defaults["SCRAPE_INTERVAL"]), ()) == (settings.interval, settings.warnings)
    assert ("http://otel-collector:4318",) == settings.telemetry.endpoints


def test_libraries_settings(compose: Compose, own: Tree) -> None:
    """What people set for OpenTelemetry and for certificates is passed on, if it is set."""
    names = re.findall(
        r"^ +(OTEL_\w+):$", (ROOT / "docker-compose.yml").read_text(encoding="utf-8"), re.MULTILINE
    )
    given = dict.fromkeys((*names, "OTEL_EXPORTER_OTLP_ENDPOINT"), "given")
    files = {name: f"/host/{name}" for name in CERTIFICATES}
    documented = re.findall(r"`(OTEL_\w+)`", pages.section("docs/deployment/compose.md", "OpenTelemetry"))

    project = compose.project({**OWN_VALUES, **given, **files})
    environment = project["services"][SERVICE_NAME]["environment"]

    assert given.items() <= environment.items()
    assert set(given) == set(documented)
    assert set() == set(names) & set(own[SERVICE_NAME]["environment"])
    for name, path in files.items():
        assert (path, f"/run/secrets/{name.lower()}") == (
            project["secrets"][name.lower()]["file"],
            environment[name],
        )


def test_proxies(compose: Compose, own: Tree, demo: Tree) -> None:
    """No service has a proxy of Docker's configuration; two have that of .env, but not to each other."""
    proxies = {"HTTP_PROXY": "http://proxy:1", "HTTPS_PROXY": "http://proxy:2", "NO_PROXY": "own.example"}

    for name, service in compose.services({**OWN_VALUES, **proxies}).items():
        if service.get("network_mode") == "none":
            continue
        found = {variable: service["environment"][variable] for variable in PROXIES}
        assert found == {
            variable: own[name]["environment"][variable]
            if name not in OUTSIDE or variable.upper() not in proxies
            else found["NO_PROXY"]
            if variable.upper() == "NO_PROXY"
            else proxies[variable.upper()]
            for variable in PROXIES
        }
        if name in OUTSIDE:
            inside = SERVICES - {SERVICE_NAME, *ENDING} | {DEMO, "localhost", "127.0.0.1", "own.example"}
            assert inside == set(found["NO_PROXY"].split(","))
        else:
            assert {""} == set(found.values())
    assert {""} == {demo[DEMO]["environment"][variable] for variable in PROXIES}


def scraped() -> set[str]:
    """Return the addresses that Prometheus scrapes."""
    jobs = parsed("prometheus/prom.yml")["scrape_configs"]
    return {target for job in jobs for group in job["static_configs"] for target in group["targets"]}


def test_doctor_knows_all_servers(own: Tree) -> None:
    """`doctor` in the exporter's container finds every server, past any proxy, where it listens."""
    environment = own[SERVICE_NAME]["environment"]
    urls = load_targets(environment, {}).urls
    health = parsed("otel/collector.yaml")["extensions"]["health_check"]["endpoint"]

    assert {target.name for target in TARGETS} - {EXPORTER} == set(urls)
    hosts = {urlsplit(url).hostname for url in urls.values()}
    assert set() == hosts - set(own)
    assert set() == hosts - set(environment["NO_PROXY"].split(","))
    others = {"prometheus:9090", f"otel-collector:{health.rpartition(':')[2]}"}
    assert set() == {urlsplit(url).netloc for url in urls.values()} - scraped() - others


def test_images(demo: Tree) -> None:
    """Images have the tag of a release, that of the tests of the stack where built; ours is never pulled."""
    tags = {repository(service): tag(service) for service in demo.values()}
    built = {name: release for name, (release, _) in IMAGES.items() if release}
    exporter, *users = (demo[name] for name in (SERVICE_NAME, DEMO, ACCESS))

    assert set(IMAGES) == set(tags)
    assert [] == [tag for tag in tags.values() if not re.fullmatch(r"v?\d+\.\d+\.\d+", tag)]
    assert built == {name: tags[name].removeprefix("v") for name in built}
    assert {"context": str(ROOT), "dockerfile": "Dockerfile"} == exporter["build"]
    assert "build" == exporter["pull_policy"]
    for user in users:
        assert (exporter["image"], "never") == (user["image"], user["pull_policy"])
        assert "build" not in user


def test_mounted_files(demo: Tree) -> None:
    """All of the project's configuration is there and mounted, read-only."""
    mounts = [mount for _, mount in volumes(demo, "bind")]
    sources = {ROOT / folder for folder in ("prometheus", "alertmanager", "loki", "tempo", "otel", "grafana")}

    assert {*sources, *PROVISIONING.iterdir(), DASHBOARDS} == {Path(mount["source"]) for mount in mounts}
    assert sources == set(binds(demo[CHECK]).values())
    assert [] == [mount for mount in mounts if not any(Path(mount["source"]).iterdir())]
    assert {(True, False)} == {
        (mount["read_only"], mount["bind"].get("create_host_path", False)) for mount in mounts
    }


def test_named_files(demo: Tree) -> None:
    """Each file in a command or entrypoint is a file of the project, seen through its mount."""
    named = [
        (name, PurePosixPath(file[1]))
        for name, service in demo.items()
        for argument in (*(service["command"] or ()), *(service["entrypoint"] or ())[1:])
        if (file := re.fullmatch(r"(?:--?config(?:\.file)?=)?(/.*)", argument)) and name != HELPER
    ]

    assert set(CONFIGURED) == {name for name, _ in named}
    assert [] == [
        path
        for name, path in named
        if not (binds(demo[name]).get(str(path.parent), Path("nowhere")) / path.name).is_file()
    ]


def test_data_is_on_volumes(demo: Tree) -> None:
    """The data of each server is on a volume of its own, in the folder of its configuration."""
    found = {name: (mount["source"], mount["target"]) for name, mount in volumes(demo, "volume")}
    flags = [
        argument.partition("=")
        for argument in (*demo["prometheus"]["command"], *demo["alertmanager"]["command"])
    ]
    tempo = [text for key, text in below(parsed("tempo/tempo.yaml")) if key == "path"]

    assert {name: (name.removesuffix("-volume"), path) for name, path in DATA.items()} == found
    assert DATA["loki"] == parsed("loki/loki.yaml")["common"]["path_prefix"]
    assert DATA["otel-collector"] == parsed("otel/collector.yaml")["extensions"]["file_storage"]["directory"]
    assert [] == [path for path in tempo if not path.startswith(f"{DATA['tempo']}/")]
    assert [DATA["prometheus"], DATA["alertmanager"]] == [
        value for flag, _, value in flags if flag in ("--storage.tsdb.path", "--storage.path")
    ]


def test_programs(demo: Tree) -> None:
    """Each image that can ask itself does; health checks and entrypoints call what the image has."""
    for name, service in demo.items():
        programs = IMAGES[repository(service)][1]
        check = service.get("healthcheck")
        if service["entrypoint"]:
            assert service["entrypoint"][0] in programs
        if name == ACCESS:
            # The image's own would ask an exporter.
            assert {"disable": True} == check
        elif name == SERVICE_NAME or not programs:
            # tests/verify/test_image.py looks at that of the exporter's image.
            assert check is None
        else:
            assert ("CMD", True) == (check["test"][0], check["test"][1] in programs)
            assert {"interval", "timeout", "retries"} <= set(check)


def test_order_can_be_kept(demo: Tree) -> None:
    """What is waited for until it is healthy has a health check; what until its end, ends.

    Whoever mounts files waits for their check.
    """
    wanted = {
        (name, terms["condition"])
        for service in demo.values()
        for name, terms in service.get("depends_on", {}).items()
    } - {(name, "service_started") for name in demo}

    ending = {name for name, condition in wanted if condition != "service_healthy"}
    assert ({HELPER, CHECK}, {"no"}) == (ending, {demo[name]["restart"] for name in ending})
    assert [] == [name for name, _ in wanted if name not in ending and "healthcheck" not in demo[name]]
    assert {name for name, _ in volumes(demo, "bind")} - {CHECK, ACCESS} == {
        name for name, service in demo.items() if CHECK in service.get("depends_on", {})
    }


def test_ports(own: Tree, demo: Tree) -> None:
    """Nothing is published for other machines by default; health checks ask known ports."""
    published = {
        name: [(port.get("host_ip"), port["published"], port["target"]) for port in service["ports"]]
        for name, service in own.items()
        if "ports" in service
    }
    checks = {name: str(service.get("healthcheck")) for name, service in demo.items()}
    asked = {name: found[1] for name, text in checks.items() if (found := re.search("//([^/]+)", text))}

    assert published == {name: [("127.0.0.1", str(port), port)] for name, port in PORTS.items()}
    ports = {DEMO: 8080, **PORTS}
    del ports[SERVICE_NAME]
    assert {name: f"127.0.0.1:{port}" for name, port in ports.items()} == asked


def test_published_elsewhere(compose: Compose) -> None:
    """PUBLISH_ADDRESS opens exporter and Grafana, also on IPv6; links have the ports that variables set."""
    ports = {name: 10_000 + port for name, port in PORTS.items()}
    values = {variable: str(ports[name]) for name, variable in PORT_VARIABLES.items()}
    services = compose.services({**OWN_VALUES, **values, "PUBLISH_ADDRESS": "[::]"})

    assert {name: ("::" if name in FOR_ALL else "127.0.0.1", str(port)) for name, port in ports.items()} == {
        name: (port["host_ip"], port["published"])
        for name, service in services.items()
        for port in service.get("ports", ())
    }
    for name in ("prometheus", "alertmanager"):
        assert f"--web.external-url=http://localhost:{ports[name]}/" in services[name]["command"]
    link = f"http://localhost:{ports['grafana']}"
    assert (link, link) == (
        services[SERVICE_NAME]["environment"]["GRAFANA_EXTERNAL_URL"],
        services["alertmanager"]["environment"]["GRAFANA_URL"],
    )


def test_rights(demo: Tree) -> None:
    """No service has a capability, may gain one, writes to its image, sees the host or is root."""
    (image_user,) = re.findall("^USER (.+)$", (ROOT / "Dockerfile").read_text(encoding="utf-8"), re.MULTILINE)
    for name, service in demo.items():
        assert ["ALL"] == service["cap_drop"]
        assert ["no-new-privileges:true"] == service["security_opt"]
        assert True is service["read_only"]
        assert ["/tmp:size=64m,mode=1777"] == service["tmpfs"]
        assert set() == {"privileged", "pid", "ipc", "devices", "userns_mode"} & set(service)
        # Only root gives files away, by that capability and no other.
        expected = (
            ("0:0", ["CHOWN"], "none")
            if name == HELPER
            else ("65534:65534", None, "none")
            if name == CHECK
            else (OWNERS.get(name, image_user), None, None)
        )
        assert expected == (service["user"], service.get("cap_add"), service.get("network_mode"))
    assert OWNERS["otel-collector"] in demo[HELPER]["command"]
    assert set() == {"--web.enable-lifecycle", "--web.enable-admin-api"} & set(demo["prometheus"]["command"])


def test_limits(demo: Tree) -> None:
    """Each service has a limit of memory, rotates its log, and comes back unless a person stopped it."""
    for name, service in demo.items():
        assert 16 * MEBIBYTE <= int(service["mem_limit"]) <= 2048 * MEBIBYTE
        assert {"driver": "json-file", "options": {"max-size": "10m", "max-file": "3"}} == service["logging"]
        assert 512 <= service["pids_limit"] <= 1024
        assert ("no" if name in ENDING else "unless-stopped") == service["restart"]
    # The collector's own limit acts well before the container's, which would kill it.
    limiter = parsed("otel/collector.yaml")["processors"]["memory_limiter"]
    assert limiter["limit_mib"] * 1.5 * MEBIBYTE <= int(demo["otel-collector"]["mem_limit"])


def test_grafana_is_closed(own: Tree) -> None:
    """Grafana has one user, no anonymous access and no sign-up, and reports and replaces nothing."""
    closed = ("AUTH_ANONYMOUS_ENABLED", "USERS_ALLOW_SIGN_UP", "USERS_VIEWERS_CAN_EDIT")
    quiet = ("ANALYTICS_REPORTING_ENABLED", "PLUGINS_PREINSTALL_AUTO_UPDATE")
    expected = dict.fromkeys(closed + quiet, "false") | {"USERS_AUTO_ASSIGN_ORG_ROLE": "Viewer"}

    assert (
        expected.items()
        <= {name.removeprefix("GF_"): value for name, value in own["grafana"]["environment"].items()}.items()
    )


def test_access_rules_are_applied(own: Tree) -> None:
    """A program of the image's working directory asks Grafana, as soon as it is well, as its admin."""
    service, environment = own[ACCESS], own[ACCESS]["environment"]
    workdir = re.findall(r"^WORKDIR (.+)$", (ROOT / "Dockerfile").read_text(encoding="utf-8"), re.MULTILINE)
    settings = load_access_settings(environment, None)
    admin = own["grafana"]["environment"]["GF_SECURITY_ADMIN_USER"]

    assert ["python", "-m", "grafana.access"] == service["entrypoint"]
    assert {f"{workdir[-1]}/grafana": ROOT / "grafana"} == binds(service)
    conditions = {name: terms["condition"] for name, terms in service["depends_on"].items()}
    assert {"grafana": "service_healthy"} == conditions
    assert ("http://grafana:3000", admin) == (settings.url, settings.credentials.user)


def test_home_dashboard(own: Tree) -> None:
    """The dashboards come from files and stay as they are; Grafana's home page is one of them."""
    (provider,) = parsed("grafana/provisioning/dashboards/dashboards.yaml")["providers"]
    home = PurePosixPath(own["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"])

    assert ("file", False, True) == (
        provider["type"],
        provider["allowUiUpdates"],
        provider["disableDeletion"],
    )
    assert provider["options"]["path"] == str(home.parent)
    assert DASHBOARDS == binds(own["grafana"])[str(home.parent)]
    assert "gatewayz-provider-management.json" == home.name
    assert (DASHBOARDS / home.name).is_file()


def test_addresses_are_services(own: Tree) -> None:
    """Whatever Prometheus scrapes and Grafana asks is a service of this file, or itself."""
    (alertmanagers,) = parsed("prometheus/prom.yml")["alerting"]["alertmanagers"]
    named = {address.partition(":")[0] for address in scraped()}

    assert [{"targets": ["alertmanager:9093"]}] == alertmanagers["static_configs"]
    servers = set(CONFIGURED) - {"prometheus"}
    assert {SERVICE_NAME, *servers, "grafana", "localhost"} == named
    assert {uid: uid for uid in SOURCES} == {
        uid: urlsplit(source["url"]).hostname for uid, source in SOURCES.items()
    }
    assert set() == (named | set(SOURCES)) - {*own, "localhost"}


TRACE = "ab" * 16
DATA_SOURCES = parsed("grafana/provisioning/datasources/datasources.yaml")["datasources"]
SOURCES = {source["uid"]: source for source in DATA_SOURCES}
TRACE_QUERIES = [row["query"] for row in SOURCES["tempo"]["jsonData"]["tracesToMetrics"]["queries"]]


def test_data_sources() -> None:
    """The data sources have fixed uids, are their own types, and cannot be changed in Grafana."""
    assert ["prometheus", "loki", "tempo", "alertmanager"] == list(SOURCES)
    assert list(SOURCES) == [source["type"] for source in SOURCES.values()]
    assert {(False, "proxy")} == {(source["editable"], source["access"]) for source in SOURCES.values()}
    assert ["prometheus"] == [uid for uid, source in SOURCES.items() if source.get("isDefault")]
    # Grafana replaces variables in its files and none is meant for that: any other $ is written twice.
    dollars = [text for _, text in below(DATA_SOURCES) if "$" in text]
    assert 3 <= len(dollars)
    assert [] == [text for text in dollars if "$" in text.replace("$$", "")]


def test_correlations() -> None:
    """Each kind of data leads to the others, by the labels and fields that hold a trace id."""
    leads = {
        uid: {text for key, text in below(source) if key in ("datasourceUid", "alertmanagerUid")}
        for uid, source in SOURCES.items()
    }
    (derived,) = SOURCES["loki"]["jsonData"]["derivedFields"]
    (exemplars,) = SOURCES["prometheus"]["jsonData"]["exemplarTraceIdDestinations"]
    to_logs = SOURCES["tempo"]["jsonData"]["tracesToLogsV2"]

    assert {
        "prometheus": {"tempo", "alertmanager"},
        "loki": {"tempo"},
        "tempo": {"loki", "prometheus"},
        "alertmanager": set(),
    } == leads
    for line in (f'{{"trace_id": "{TRACE}"}}', f"Updated provider metrics trace_id={TRACE}"):
        assert [TRACE] == re.findall(derived["matcherRegex"], line)
    assert (True, "-") == (to_logs["customQuery"], to_logs["spanStartTimeShift"][0])
    assert to_logs["query"].endswith('trace_id="$${__trace.traceId}"')
    # The default of Tempo's generator.
    assert "traceID" == exemplars["name"]


def test_metrics_of_the_correlations() -> None:
    """Queries from a trace name metrics of the exporter, and take `max` or a quantile over its replicas."""
    named = {
        name.removesuffix("_bucket") for query in TRACE_QUERIES for name in re.findall(r"gatewayz_\w+", query)
    }

    assert 3 <= len(named)
    assert set() == named - {row.name for row in INSTRUMENTS}
    one_of_all = ("max by (job, ", "histogram_quantile(")
    assert [] == [query for query in TRACE_QUERIES if not query.startswith(one_of_all)]


def test_channels(own: Tree) -> None:
    """The variables that start.sh reads are passed on, empty by default, and documented in a row each."""
    script = (ROOT / "alertmanager" / "start.sh").read_text(encoding="utf-8")
    prefixes = "SLACK|SMTP|EMAIL|MSTEAMS|PAGERDUTY|WEBHOOK|WATCHDOG|NOTIFY|GRAFANA|RUNBOOK"
    variables = set(re.findall(rf"\b(?:{prefixes})_[A-Z_]+\b", script))

    environment = own["alertmanager"]["environment"]
    assert variables == set(environment) - set(PROXIES)
    assert {"GRAFANA_URL"} == {name for name in variables if environment[name]}
    rows = pages.table(pages.section("docs/alerts.md", "Notifications"))
    assert variables == {name.strip("`") for name, *_ in rows}


@pytest.mark.parametrize("is_set", [True, False])
def test_secret_files(compose: Compose, is_set: bool) -> None:
    """A file of the host is seen as a secret by one service alone; one that is not named is empty."""
    names = [name for row in SECRET_FILES.values() for name in row]
    given = {f"{name}_FILE": f"/host/{name}" for name in names} if is_set else {}

    project = compose.project({**OWN_VALUES, **given})

    files = {name.lower(): given.get(f"{name}_FILE", os.devnull) for name in (*names, *CERTIFICATES)}
    assert files == {name: source["file"] for name, source in project["secrets"].items()}
    for service, one in project["services"].items():
        row = SECRET_FILES.get(service, ())
        used = {secret["source"] for secret in one.get("secrets", ())} - set(map(str.lower, CERTIFICATES))
        assert set(map(str.lower, row)) == used
        for name in row:
            inside = f"/run/secrets/{name.lower()}" if is_set else ""
            assert inside == one["environment"][f"{name}_FILE"]


def test_key_in_a_file(compose: Compose, tmp_path: Path) -> None:
    """With ADMIN_KEY_FILE the key itself is not needed; without both the exporter says what can hold one."""
    key = tmp_path / "key"
    key.write_text("own-key", encoding="utf-8")
    without = {**OWN_VALUES, "ADMIN_KEY": ""}

    environment = compose.services({**without, "ADMIN_KEY_FILE": str(key)})[SERVICE_NAME]["environment"]
    settings = load_settings({**environment, "ADMIN_KEY_FILE": str(key)})

    assert ("", "own-key") == (environment["ADMIN_KEY"], settings.admin_key.reveal())
    with pytest.raises(SettingsError, match="ADMIN_KEY is not set, nor ADMIN_KEY_FILE: one must hold"):
        load_settings(compose.services(without)[SERVICE_NAME]["environment"])
