"""What the real helm makes of the chart: accepted, valid, strict, and what the project has elsewhere."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from exporter import SERVICE_NAME, __version__
from tests.promql import RULE_FILES
from tests.stack.chart import (
    CHART,
    EXAMPLES,
    HELMS,
    KUBERNETES,
    NAME,
    Helm,
    Rendered,
    Tree,
    of_kind,
    one,
    validate,
    values,
)
from tests.stack.substitution import ROOT

pytestmark = pytest.mark.stack

GOLDEN = ROOT / "tests/golden/helm"
RESTRICTED: Mapping[str, Any] = {
    "readOnlyRootFilesystem": True,
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
}

every_helm = pytest.mark.parametrize("helm", HELMS)
every_example = pytest.mark.parametrize("example", EXAMPLES)


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
    selector = one(objects, "Deployment")["spec"]["selector"]["matchLabels"]
    service = one(objects, "Service")
    ports = {port["name"] for port in pod["spec"]["containers"][0]["ports"]}
    (spread,) = pod["spec"]["topologySpreadConstraints"]

    # No version among them: it would leave out the pods of the release before.
    assert {"app.kubernetes.io/name", "app.kubernetes.io/instance"} == set(selector)
    assert pod["metadata"]["labels"].items() >= selector.items()
    assert selector == service["spec"]["selector"]
    assert selector == one(objects, "PodDisruptionBudget")["spec"]["selector"]["matchLabels"]
    assert selector == spread["labelSelector"]["matchLabels"]
    for policy in of_kind(objects, "NetworkPolicy"):
        assert selector == policy["spec"]["podSelector"]["matchLabels"]
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


def test_scaled_out_prometheus_is_valid(programs: Mapping[str, Path], tmp_path: Path) -> None:
    """What kube-prometheus-stack is told is what the operator's Prometheus takes."""
    path = ROOT / "deploy/helm/scale-out/kube-prometheus-stack.yaml"
    spec = yaml.safe_load(path.read_text(encoding="utf-8"))["prometheus"]["prometheusSpec"]
    file = tmp_path / "prometheus.yaml"
    head = {"apiVersion": "monitoring.coreos.com/v1", "kind": "Prometheus", "metadata": {"name": "p"}}
    file.write_text(yaml.safe_dump({**head, "spec": spec}), encoding="utf-8")
    code, output = validate(programs, file, KUBERNETES[-1])

    assert 0 == code, output
