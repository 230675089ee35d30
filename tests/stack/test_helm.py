"""What the real helm makes of the chart, held against Kubernetes' schemas and against what it stands for."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml

from exporter import SERVICE_NAME, __version__
from exporter.webconfig import read
from tests.certificates import MUTUAL, PASSWORD, USER, Folder, hashed
from tests.process import program
from tests.promql import RULE_FILES
from tests.replay import ReplayGateway
from tests.stack import servers
from tests.stack.build import OPERATOR, module
from tests.stack.chain import KEY
from tests.stack.pod import Pod, Secrets
from tests.stack.servers import free_port, wait_until
from tests.stack.substitution import ROOT

pytestmark = pytest.mark.stack

CHART = ROOT / "deploy/helm" / SERVICE_NAME
GOLDEN = ROOT / "tests/golden/helm"
NAME = f"exporter-{SERVICE_NAME}"
NAMESPACE = "gateway"
KUBERNETES = ("1.27", "1.30")
"""The oldest version that the chart takes, and the newest whose schemas the validator has."""
HELMS = ("helm", "helm3")
EXAMPLES = ("minimal", "full", "client-certificates")
"""The values in ci/: what must be set, everything, and what excludes some of it."""
PAGE = (ROOT / "docs/deployment/kubernetes.md").read_text(encoding="utf-8")
NOT_RUN = ("docker ", "kubectl ", "helm rollback ", "helm uninstall ")
"""Commands of the page that need a registry or a cluster."""
RESTRICTED: Mapping[str, Any] = {
    "readOnlyRootFilesystem": True,
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
}

Tree = Mapping[str, Any]

every_helm = pytest.mark.parametrize("helm", HELMS)
every_example = pytest.mark.parametrize("example", EXAMPLES)


class Helm:
    """One helm, without the settings of the person who runs the tests."""

    def __init__(self, program: Path, home: Path) -> None:
        """Remember where it is, and where it may write."""
        self._program = program
        self._environment = {"HOME": str(home), "PATH": os.environ["PATH"]}

    def run(self, *arguments: str) -> tuple[int, str, str]:
        """Return exit code, standard output and standard error."""
        result = subprocess.run(
            [str(self._program), *arguments],
            cwd=ROOT,
            env=self._environment,
            capture_output=True,
            text=True,
            check=False,
        )
        return result.returncode, result.stdout, result.stderr

    def template(self, *options: str, chart: Path = CHART) -> str:
        """Return what it renders."""
        arguments = ("template", "exporter", str(chart), f"--namespace={NAMESPACE}", "--kube-version=1.30")
        code, output, errors = self.run(*arguments, *options)
        assert (0, "") == (code, errors)
        return output


@pytest.fixture
def helms(programs: Mapping[str, Path], tmp_path: Path) -> Mapping[str, Helm]:
    """Every helm by its name."""
    return {name: Helm(programs[name], tmp_path) for name in HELMS}


class Rendered:
    """The objects that a chart becomes."""

    def __init__(self, helm: Helm) -> None:
        """Remember the helm."""
        self._helm = helm

    def __call__(self, example: str, *options: str) -> list[Tree]:
        """Return the objects of an example, changed by options."""
        return parsed(self._helm.template(values(example), *options))


@pytest.fixture
def rendered(helms: Mapping[str, Helm]) -> Rendered:
    """Renders values with the first helm."""
    return Rendered(helms[HELMS[0]])


def values(example: str) -> str:
    """Return the option that names an example."""
    return f"--values={CHART}/ci/{example}-values.yaml"


def parsed(text: str) -> list[Tree]:
    """Return the objects of a text."""
    return [document for document in yaml.safe_load_all(text) if document]


def of_kind(objects: Sequence[Tree], kind: str) -> list[Tree]:
    """Return the objects of a kind."""
    return [document for document in objects if document["kind"] == kind]


def one(objects: Sequence[Tree], kind: str) -> Tree:
    """Return the only object of a kind."""
    (found,) = of_kind(objects, kind)
    return found


def outline(text: str) -> str:
    """Return the text without the bodies of copied files, and without empty lines: helms differ in them."""
    parts = []
    for part in text.split("---\n"):
        if "\nkind: PrometheusRule\n" in part:
            part = part.split("\nspec:\n")[0] + "\nspec: ..."
        elif "\nkind: ConfigMap\n" in part:
            part = part.split("\ndata:\n")[0] + "\ndata: ..."
        parts.append("\n".join(line for line in part.splitlines() if line.strip()))
    return "\n---\n".join(parts).strip() + "\n"


def validate(programs: Mapping[str, Path], file: Path, version: str) -> tuple[int, str]:
    """Return exit code and output of Kubernetes' own validation, with the operator's definitions."""
    result = subprocess.run(
        [
            str(programs["kubectl-validate"]),
            f"--version={version}",
            f"--local-crds={module(OPERATOR) / 'example/prometheus-operator-crd'}",
            str(file),
        ],
        # No cluster of the person who runs the tests.
        env={"HOME": str(file.parent), "KUBECONFIG": os.devnull},
        capture_output=True,
        text=True,
        check=False,
    )
    return result.returncode, result.stdout + result.stderr


@every_helm
@every_example
def test_lint(helms: Mapping[str, Helm], helm: str, example: str) -> None:
    """Helm's linter finds nothing to warn about."""
    code, output, errors = helms[helm].run("lint", "--strict", str(CHART), values(example))

    assert (0, False) == (code, "[WARNING]" in output + errors or "[ERROR]" in output + errors), output


@every_helm
@every_example
def test_golden(helms: Mapping[str, Helm], helm: str, example: str) -> None:
    """What is rendered is exactly the golden file, but for the bodies of rules and dashboards."""
    golden = (GOLDEN / f"{example}.yaml").read_text(encoding="utf-8")

    assert golden == outline(helms[helm].template(values(example)))


@pytest.mark.parametrize("version", KUBERNETES)
@every_example
def test_objects_are_valid(
    programs: Mapping[str, Path], helms: Mapping[str, Helm], tmp_path: Path, example: str, version: str
) -> None:
    """Every object fits its schema strictly, for the oldest and the newest Kubernetes."""
    file = tmp_path / "objects.yaml"
    file.write_text(helms["helm"].template(values(example)), encoding="utf-8")
    code, output = validate(programs, file, version)

    assert 0 == code, output


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("readOnlyRootFilesystem: true", "readOnlyRootFileSystem: true"),
        ("publishNotReadyAddresses: true", "publishNotReadyAddress: true"),
        ("scrapeTimeout: 5s", "scrapeTimeout: soon"),
        ("action: labeldrop", "action: labeldropp"),
        ("targetLabel: job", "target_label: job"),
        ("keep_firing_for: 3m", "keepFiringFor: 3m"),
        ("pathType: Prefix", "pathtype: Prefix"),
        ("maxUnavailable: 1\n  #", "maxUnavailible: 1\n  #"),
        ("policyTypes: [Ingress, Egress]", "policyTypes: Ingress"),
        ("automountServiceAccountToken: false", "automountServiceAccountToken: 'no'"),
    ],
)
def test_mistakes_are_found(
    programs: Mapping[str, Path], helms: Mapping[str, Helm], tmp_path: Path, right: str, wrong: str
) -> None:
    """The validation is strict: a misspelt key or a wrong type fails, and a wrong value of the operator's."""
    text = helms["helm"].template(values("full"))
    assert right in text
    file = tmp_path / "objects.yaml"
    file.write_text(text.replace(right, wrong), encoding="utf-8")
    code, output = validate(programs, file, KUBERNETES[-1])

    assert 0 != code, output


@every_helm
def test_what_is_missing_is_told_at_once(helms: Mapping[str, Helm], helm: str) -> None:
    """Without values there is one error that names everything that must be set."""
    options = ("--set=webConfig.tls=server", "--set=ingress.enabled=true")
    code, _, errors = helms[helm].run("template", "exporter", str(CHART), "--kube-version=1.30", *options)

    named = re.findall(r"^- (\S+) is (?:not )?set", errors, re.MULTILINE)
    assert 0 != code
    assert ["settings.GATEWAY_API_URL", "adminKey.secretName", "webConfig.tls", "ingress.enabled"] == named


@every_helm
@pytest.mark.parametrize(
    "wrong",
    [
        "replicas=2",
        "settings.SCRAPE_INTERVALL=30",
        "settings.SCRAPE_INTERVAL=soon",
        "settings.GATEWAY_API_URL=api.example.com",
        "adminKey.as=volume",
        "serviceMonitor.enable=true",
        "extraEnv[0].name=ADMIN_KEY",
        "image.pullPolicy=Sometimes",
        "prometheusRule.runbookUrl=https://example.com",
    ],
)
def test_wrong_values_are_refused(helms: Mapping[str, Helm], helm: str, wrong: str) -> None:
    """A value that is misspelt, or cannot be, is refused by its name."""
    arguments = ("template", "exporter", str(CHART), values("minimal"), f"--set={wrong}")
    code, _, errors = helms[helm].run(*arguments)

    last = re.split(r"[.\[=]", wrong)[-2]
    assert 0 != code
    assert "schema" in errors
    assert last in errors or "extraEnv" in errors


def test_package_is_whole(helms: Mapping[str, Helm], tmp_path: Path) -> None:
    """The packaged chart renders the same: nothing that it needs is ignored."""
    code, output, _ = helms["helm"].run("package", str(CHART), f"--destination={tmp_path}")
    package = tmp_path / f"{SERVICE_NAME}-{__version__}.tgz"

    assert 0 == code, output
    assert helms["helm"].template(values("full")) == helms["helm"].template(values("full"), chart=package)


def test_rules_are_the_projects(rendered: Rendered, programs: Mapping[str, Path], tmp_path: Path) -> None:
    """The rules are those of prometheus/rules/, with whole links to the runbooks; Prometheus takes them."""
    specs = rules_of(rendered("full"))
    jobs = 'job=~"second_gateway|provider-metrics|third"'
    url = "https://git.example.com/gateway/exporter/-/blob/main/docs/runbooks/"
    own = {path.stem: path.read_text(encoding="utf-8") for path in RULE_FILES}
    changed = {
        name: text.replace('job="provider_metrics"', jobs).replace("docs/runbooks/", url)
        for name, text in own.items()
    }
    files = write_rules(specs, tmp_path)
    checked = subprocess.run(
        [str(programs["promtool"]), "check", "rules", *files], capture_output=True, check=False
    )

    assert {name: yaml.safe_load(text) for name, text in changed.items()} == specs
    assert 0 == checked.returncode, checked.stderr


def test_rules_are_unchanged_by_default(rendered: Rendered) -> None:
    """With the job's default name and no root for links every rule is as the project has it."""
    own = {path.stem: yaml.safe_load(path.read_text(encoding="utf-8")) for path in RULE_FILES}

    assert own == rules_of(rendered("minimal", "--set=prometheusRule.enabled=true"))


def test_exporter_of_another_job_is_missed(
    rendered: Rendered, programs: Mapping[str, Path], tmp_path: Path
) -> None:
    """With the jobs of other releases the alert fires for the one that is down, and names it."""
    options = ("--set=prometheusRule.enabled=true", "--set=prometheusRule.otherJobs={second}")
    up = [("provider_metrics", "1x10"), ("second", "0x10")]
    series = "ALERTS{alertname='GatewayzExporterDown', alertstate='firing'}"
    fires = {
        "__name__": "ALERTS",
        "alertname": "GatewayzExporterDown",
        "alertstate": "firing",
        "job": "second",
    }
    labels = {**fires, "severity": "critical", "category": "exporter"}
    test = {
        "rule_files": write_rules(rules_of(rendered("minimal", *options)), tmp_path),
        "evaluation_interval": "30s",
        "tests": [
            {
                "interval": "1m",
                "input_series": [{"series": f'up{{job="{job}"}}', "values": values} for job, values in up],
                "promql_expr_test": [
                    {
                        "expr": series,
                        "eval_time": "5m",
                        "exp_samples": [{"labels": selector(labels), "value": 1}],
                    }
                ],
            }
        ],
    }
    file = tmp_path / "test.yml"
    file.write_text(yaml.safe_dump(test), encoding="utf-8")
    result = subprocess.run(
        [str(programs["promtool"]), "test", "rules", str(file)], capture_output=True, text=True, check=False
    )

    assert 0 == result.returncode, result.stdout + result.stderr


def selector(labels: Mapping[str, str]) -> str:
    """Return labels as PromQL writes them."""
    return "{" + ", ".join(f'{name}="{value}"' for name, value in labels.items()) + "}"


def rules_of(objects: Sequence[Tree]) -> dict[str, Tree]:
    """Return the rules of every PrometheusRule by the name of the file that they come from."""
    rules = {
        document["metadata"]["name"]: document["spec"] for document in of_kind(objects, "PrometheusRule")
    }
    return {name.removeprefix(f"{NAME}-"): spec for name, spec in rules.items()}


def write_rules(specs: Mapping[str, Tree], folder: Path) -> list[str]:
    """Write rules into files as Prometheus reads them, and return their paths."""
    for name, spec in specs.items():
        (folder / f"{name}.yml").write_text(yaml.safe_dump(spec), encoding="utf-8")
    return [str(folder / f"{name}.yml") for name in specs]


def test_no_rule_looks_for_another_job(rendered: Rendered) -> None:
    """With a job of its own no rule looks for the job of the compose file."""
    texts = yaml.safe_dump_all(of_kind(rendered("full"), "PrometheusRule"), width=1000)

    assert [] == re.findall(r"\bprovider_metrics\b", texts)


def test_dashboards_are_the_projects(rendered: Rendered) -> None:
    """Each dashboard is a ConfigMap whose file is byte for byte that of grafana/dashboards/."""
    maps = of_kind(rendered("full"), "ConfigMap")
    files = {name: text for document in maps for name, text in document["data"].items()}
    own = {path.name: path.read_text("utf-8") for path in (ROOT / "grafana/dashboards").glob("*.json")}

    assert own == files
    assert {"1"} == {document["metadata"]["labels"]["grafana_dashboard"] for document in maps}


@every_example
def test_selectors(rendered: Rendered, example: str) -> None:
    """Everything that selects pods selects these, and everything that names a port finds it."""
    objects = rendered(example, "--set=replicaCount=2", "--set=serviceMonitor.enabled=true")
    pod = one(objects, "Deployment")["spec"]["template"]
    labels = pod["metadata"]["labels"].items()
    service = one(objects, "Service")
    ports = {port["name"] for port in pod["spec"]["containers"][0]["ports"]}

    assert labels >= one(objects, "Deployment")["spec"]["selector"]["matchLabels"].items()
    assert labels >= service["spec"]["selector"].items()
    assert labels >= one(objects, "PodDisruptionBudget")["spec"]["selector"]["matchLabels"].items()
    (spread,) = pod["spec"]["topologySpreadConstraints"]
    assert labels >= spread["labelSelector"]["matchLabels"].items()
    for policy in of_kind(objects, "NetworkPolicy"):
        assert labels >= policy["spec"]["podSelector"]["matchLabels"].items()
    monitor = one(objects, "ServiceMonitor")["spec"]
    assert service["metadata"]["labels"].items() >= monitor["selector"]["matchLabels"].items()
    assert {port["targetPort"] for port in service["spec"]["ports"]} == ports
    assert {end["port"] for end in monitor["endpoints"]} == {
        port["name"] for port in service["spec"]["ports"]
    }


@every_example
def test_restricted(rendered: Rendered, example: str) -> None:
    """The pod has no rights: Kubernetes' restricted standard, a read-only root, and no token."""
    pod = one(rendered(example), "Deployment")["spec"]["template"]["spec"]
    (container,) = pod["containers"]

    assert RESTRICTED == container["securityContext"]
    assert pod["securityContext"]["runAsNonRoot"]
    assert f"USER {pod['securityContext']['runAsUser']}:" in (ROOT / "Dockerfile").read_text(encoding="utf-8")
    assert {"type": "RuntimeDefault"} == pod["securityContext"]["seccompProfile"]
    assert (False, False) == (pod["automountServiceAccountToken"], pod["enableServiceLinks"])


@every_example
def test_no_secret_is_rendered(rendered: Rendered, example: str) -> None:
    """The chart makes no Secret and reads none: keys stay where they are."""
    assert [] == of_kind(rendered(example), "Secret")


@pytest.mark.parametrize(("replicas", "budgets"), [(0, 0), (1, 0), (2, 1), (3, 1)])
def test_disruption_budget(rendered: Rendered, replicas: int, budgets: int) -> None:
    """A single pod may be evicted, or no node could be drained."""
    objects = rendered("minimal", f"--set=replicaCount={replicas}")

    assert budgets == len(of_kind(objects, "PodDisruptionBudget"))


@pytest.mark.parametrize(
    ("example", "told", "not_told"),
    [
        ("minimal", ["exec deployment/", "port-forward", "Prometheus is not told"], ["Everybody", "Nobody"]),
        ("full", ["https://providers.example.com/"], ["port-forward", "Prometheus is not told", "Everybody"]),
        ("client-certificates", ["https://localhost:8001/", "Nobody reaches", "rollout restart"], []),
    ],
)
def test_notes(helms: Mapping[str, Helm], example: str, told: list[str], not_told: list[str]) -> None:
    """After the installation it is said what to look at, and what is missing."""
    arguments = ("install", "exporter", str(CHART), "--dry-run=client", values(example))
    code, output, errors = helms["helm"].run(*arguments)
    notes = output.partition("\nNOTES:\n")[2]

    assert 0 == code, errors
    assert [] == [text for text in told if text not in notes]
    assert [] == [text for text in not_told if text in notes]


def blocks(language: str) -> list[str]:
    """Return the blocks of code of one language on the page."""
    found = re.findall(r"^```(\w*)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    return [code for name, code in found if name == language]


def yaml_of(file: str) -> list[str]:
    """Return the blocks of the page that are this file."""
    return [code for code in blocks("yaml") if code.startswith(f"# {file}\n")]


def test_every_block_of_the_page_says_what_it_is() -> None:
    """No YAML on the page is left untried, but what another chart reads."""
    known = ("values.yaml", "web.yml", "prometheus.yml", "kube-prometheus-stack")

    assert len(blocks("yaml")) == sum(len(yaml_of(file)) for file in known)


def test_commands_of_the_page(
    helms: Mapping[str, Helm], programs: Mapping[str, Path], tmp_path: Path
) -> None:
    """What the page installs, with the first values that it gives, can be rendered and is valid."""
    (tmp_path / "values.yaml").write_text(yaml_of("values.yaml")[0], encoding="utf-8")
    commands = [line for block in blocks("") for line in block.splitlines() if not line.startswith(NOT_RUN)]
    assert ["helm install", "helm upgrade"] == [" ".join(command.split()[:2]) for command in commands]
    for command in commands:
        _, _, release, *arguments = command.replace("values.yaml", f"{tmp_path}/values.yaml").split()
        code, output, errors = helms["helm"].run("template", release, *arguments)
        (tmp_path / "objects.yaml").write_text(output, encoding="utf-8")
        verdict, problems = validate(programs, tmp_path / "objects.yaml", KUBERNETES[-1])

        assert (0, "") == (code, errors)
        assert 0 == verdict, problems


@pytest.mark.parametrize(
    "text", yaml_of("values.yaml")[1:], ids=lambda text: text.split(":")[0].split("\n")[1]
)
def test_values_of_the_page(
    helms: Mapping[str, Helm], programs: Mapping[str, Path], tmp_path: Path, text: str
) -> None:
    """Every part of values on the page can be given beside the first, and makes valid objects."""
    (tmp_path / "values.yaml").write_text(text, encoding="utf-8")
    options = (values("minimal"), f"--values={tmp_path}/values.yaml")
    (tmp_path / "objects.yaml").write_text(helms["helm"].template(*options), encoding="utf-8")
    code, output = validate(programs, tmp_path / "objects.yaml", KUBERNETES[-1])

    assert 0 == code, output


def test_web_config_of_the_page(tmp_path: Path) -> None:
    """The web configuration file on the page can be used, with certificates where it looks for them."""
    folder = Folder(tmp_path)
    folder.replace("tls.crt", (tmp_path / "server.crt").read_bytes())
    folder.replace("tls.key", (tmp_path / "server.key").read_bytes())
    (text,) = yaml_of("web.yml")
    folder.file.write_text(text.replace("/run/secrets/certificate", str(tmp_path)), encoding="utf-8")

    assert () == read(folder.file).problems


def test_scrape_config_of_the_page(programs: Mapping[str, Path], tmp_path: Path) -> None:
    """Prometheus takes the job, which has the name that the rules look for, and its target is the Service."""
    (text,) = yaml_of("prometheus.yml")
    (tmp_path / "prometheus.yml").write_text(text, encoding="utf-8")
    command = [str(programs["promtool"]), "check", "config", str(tmp_path / "prometheus.yml")]
    (job,) = yaml.safe_load(text)["scrape_configs"]

    assert 0 == subprocess.run(command, capture_output=True, check=False).returncode
    assert "provider_metrics" == job["job_name"]
    assert [{"targets": [f"{NAME}.{NAMESPACE}:8001"]}] == job["static_configs"]


def test_scaled_out_prometheus_is_valid(programs: Mapping[str, Path], tmp_path: Path) -> None:
    """What kube-prometheus-stack is told is what the operator's Prometheus takes."""
    path = ROOT / "deploy/helm/scale-out/kube-prometheus-stack.yaml"
    spec = yaml.safe_load(path.read_text(encoding="utf-8"))["prometheus"]["prometheusSpec"]
    file = tmp_path / "prometheus.yaml"
    head = {"apiVersion": "monitoring.coreos.com/v1", "kind": "Prometheus", "metadata": {"name": "p"}}
    file.write_text(yaml.safe_dump({**head, "spec": spec}), encoding="utf-8")
    code, output = validate(programs, file, KUBERNETES[-1])

    assert 0 == code, output


@pytest.fixture
def secrets(tmp_path: Path) -> Mapping[str, Mapping[str, bytes]]:
    """The Secrets that the examples name; clients need no certificate where only the server has one."""
    (tmp_path / "certificates").mkdir()
    folder = Folder(tmp_path / "certificates")
    place = tmp_path / "pod/run/secrets/certificate"
    tls = {"cert_file": f"{place}/tls.crt", "key_file": f"{place}/tls.key"}
    mutual = {"cert_file": "server.crt", "key_file": "server.key", **MUTUAL}
    users = {"basic_auth_users": {USER: hashed()}}
    files = {name: (folder.path / name).read_bytes() for name in ("server.crt", "server.key", "clients.pem")}
    return {
        "gateway": {"admin-key": KEY.encode(), "admin_key": f"{KEY}\n".encode()},
        "exporter-web": {"web.yml": yaml.safe_dump({"tls_server_config": tls, **users}).encode()},
        "exporter-web-mutual": {"web.yml": yaml.safe_dump({"tls_server_config": mutual}).encode(), **files},
        "exporter-certificate": {"tls.crt": files["server.crt"], "tls.key": files["server.key"]},
        "otlp": {"headers": b"x-scope-orgid=gateway"},
    }


def pod_of(objects: Sequence[Tree], tmp_path: Path, secrets: Secrets) -> Pod:
    """Return the pod of the Deployment, in a folder."""
    return Pod(one(objects, "Deployment")["spec"]["template"], tmp_path / "pod", secrets)


@pytest.mark.filterwarnings("ignore:Unverified HTTPS request")
@pytest.mark.parametrize(
    ("example", "options", "metrics"),
    [
        ("minimal", [], 200),
        ("full", [], 401),
        ("full", ["--set=settings.PROTECT_HEALTH_ROUTES=true"], 401),
        ("client-certificates", ["--set=webConfig.secretName=exporter-web-mutual"], None),
    ],
    ids=["minimal", "full", "protected", "client-certificates"],
)
def test_pod_answers_its_probes(
    rendered: Rendered,
    tmp_path: Path,
    gateway: ReplayGateway,
    secrets: Secrets,
    example: str,
    options: list[str],
    metrics: int | None,
) -> None:
    """The program starts with the pod's variables and files, and both probes find it well and ready."""
    pod = pod_of(rendered(example, *options), tmp_path, secrets)
    port = free_port()
    # The example's proxy and collector are nowhere.
    there = {"HTTPS_PROXY": "", "OTEL_EXPORTER_OTLP_ENDPOINT": ""}
    environment = pod.environment(GATEWAY_API_URL=gateway.url, METRICS_PORT=str(port), **there)
    with program(**environment) as running:
        running.record("Listening")
        running.record("Updated provider metrics")

        assert pod.probe("livenessProbe", port, environment)
        assert pod.probe("readinessProbe", port, environment)
        if metrics:
            scheme = "http" if metrics == 200 else "https"
            url = f"{scheme}://127.0.0.1:{port}/metrics"
            assert metrics == requests.get(url, verify=False, timeout=5).status_code
            assert 200 == requests.get(url, verify=False, timeout=5, auth=(USER, PASSWORD)).status_code
    assert {f"Bearer {KEY}"} == {asked.headers["Authorization"] for asked in gateway.asked}


def test_probe_of_a_pod_whose_gateway_is_away(
    rendered: Rendered, tmp_path: Path, secrets: Secrets, gateway: ReplayGateway
) -> None:
    """It lives, and is not ready: so the old one stays in a rollout with a wrong address or key."""
    pod = pod_of(rendered("minimal"), tmp_path, secrets)
    gateway.answers.clear()
    environment = pod.environment(GATEWAY_API_URL=gateway.url, METRICS_PORT=str(free_port()))
    with program(**environment) as running:
        port = int(running.record("Listening")["port"])

        assert pod.probe("livenessProbe", port, environment)
        assert not pod.probe("readinessProbe", port, environment)


def test_key_is_exchanged_without_a_restart(
    rendered: Rendered, tmp_path: Path, secrets: Secrets, gateway: ReplayGateway
) -> None:
    """When the Secret changes, the next poll has the new key: a folder is mounted, not a single file."""
    pod = pod_of(rendered("minimal", "--set=settings.SCRAPE_INTERVAL=1"), tmp_path, secrets)
    with program(**pod.environment(GATEWAY_API_URL=gateway.url, METRICS_PORT="0")) as running:
        running.record("Updated provider metrics")
        pod.exchange("gateway", {"admin-key": b"another-key"})
        running.record("Admin key reloaded")
        running.record("Updated provider metrics")

        assert "Bearer another-key" == gateway.asked[-1].headers["Authorization"]


def test_scrape_by_the_operator(
    rendered: Rendered, programs: Mapping[str, Path], tmp_path: Path, gateway: ReplayGateway
) -> None:
    """Two pods are two instances of one job, and the exporter's own labels stay as they are.

    The operator gives a target these labels before the ServiceMonitor's own relabelings come.
    """
    (end,) = one(rendered("minimal", "--set=serviceMonitor.enabled=true"), "ServiceMonitor")["spec"][
        "endpoints"
    ]
    by_operator = {"job": NAME, "service": NAME, "namespace": NAMESPACE, "container": "exporter"}
    by_operator["endpoint"] = end["port"]
    with ExitStack() as running:
        targets = []
        for pod in ("a", "b"):
            exporter = running.enter_context(
                program(
                    GATEWAY_API_URL=gateway.url, ADMIN_KEY=KEY, METRICS_HOST="127.0.0.1", METRICS_PORT="0"
                )
            )
            address = exporter.url().removeprefix("http://")
            targets.append({"targets": [address], "labels": {**by_operator, "pod": pod}})
        job = {
            "job_name": "serviceMonitor/gateway/exporter/0",
            "metrics_path": end["path"],
            "scheme": end["scheme"],
            "scrape_interval": "1s",
            "static_configs": targets,
            "relabel_configs": [as_prometheus(relabeling) for relabeling in end["relabelings"]],
        }
        prometheus = running.enter_context(prometheus_with(programs, tmp_path, [job]))
        wait_until(lambda: len(found(prometheus, "gatewayz_up")) == 2)

        assert [("provider_metrics", "a"), ("provider_metrics", "b")] == sorted(
            (series["job"], series["pod"]) for series in found(prometheus, "gatewayz_up")
        )
        fetches = found(prometheus, 'gatewayz_exporter_fetches_total{outcome="ok"}')
        assert ["providers", "providers", "stats", "stats"] == sorted(
            series["endpoint"] for series in fetches
        )
        assert [] == found(prometheus, '{exported_endpoint=~".+"}')
        assert [] == found(prometheus, 'up{endpoint=~".+"}')


def as_prometheus(relabeling: Mapping[str, str]) -> dict[str, str]:
    """Return a relabeling of the operator as Prometheus writes it."""
    return {re.sub(r"([A-Z])", lambda found: f"_{found[1].lower()}", key): v for key, v in relabeling.items()}


def prometheus_with(programs: Mapping[str, Path], folder: Path, jobs: Sequence[Tree]) -> servers.Server:
    """Return a Prometheus with these jobs and nothing else."""
    port = free_port()
    file = folder / "prometheus.yml"
    file.write_text(yaml.safe_dump({"scrape_configs": list(jobs)}), encoding="utf-8")
    command = [
        str(programs["prometheus"]),
        f"--config.file={file}",
        f"--storage.tsdb.path={folder}/data",
        f"--web.listen-address=127.0.0.1:{port}",
    ]
    return servers.Server("prometheus", command, folder, f"http://127.0.0.1:{port}", "/-/ready")


def found(prometheus: servers.Server, query: str) -> list[Mapping[str, str]]:
    """Return the labels of the series that a query finds."""
    return [series["metric"] for series in prometheus.get("/api/v1/query", query=query)["data"]["result"]]
