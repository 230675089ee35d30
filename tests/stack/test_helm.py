"""What the real helm makes of the chart: accepted, valid, strict, and what the project has elsewhere."""

from __future__ import annotations

import re
import shutil
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
        "settings.HEALTH_CHECK_OVERDUE=soon",
        "prometheusRule.serverJobs.collector=otel-collector",
        "prometheusRule.serverJobs.loki=a|b",
        "prometheusRule.objective=99.5",
        "prometheusRule.objective=1",
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


COMPOSE = {
    "prometheus": "prometheus",
    "alertmanager": "alertmanager",
    "loki": "loki",
    "tempo": "tempo",
    "otelCollector": "otel-collector",
    "grafana": "grafana",
}
"""The jobs of prometheus/prom.yml, by the chart's names for the servers."""
NEED_A_SERVER = {"GatewayzServerDown", "GatewayzTelemetryNotDelivered", "GatewayzNotificationsFailing"}
"""Alerts that need the job of a server."""
RULES_ON = "--set=prometheusRule.enabled=true"
DOWN = {
    'gatewayz_provider_health_status{{job="provider_metrics", instance="a", provider="{provider}"}}': "3x30",
    'gatewayz_provider_is_active{{job="provider_metrics", instance="a", provider="{provider}"}}': "1x30",
}
"""An active provider that is down."""


def own_rules() -> dict[str, Tree]:
    """Return the project's rules by the name of their file."""
    return {path.stem: yaml.safe_load(path.read_text(encoding="utf-8")) for path in RULE_FILES}


def without(files: Mapping[str, Tree], alerts: set[str]) -> dict[str, Tree]:
    """Return rules without some alerts."""
    return {
        name: {
            "groups": [
                {**group, "rules": [rule for rule in group["rules"] if rule.get("alert") not in alerts]}
                for group in file["groups"]
            ]
        }
        for name, file in files.items()
    }


def jobs_of_servers(jobs: Mapping[str, str]) -> list[str]:
    """Return the options that name the jobs of servers."""
    return [f"--set=prometheusRule.serverJobs.{server}={job}" for server, job in jobs.items()]


def test_rules_are_the_projects(rendered: Rendered) -> None:
    """Each rule is that of prometheus/rules/, with a whole link to its runbook, but for the names of jobs."""
    url = "https://git.example.com/gateway/exporter/-/blob/main/docs/runbooks/"
    jobs = ("second_gateway", "provider-metrics", "third")
    texts = {
        form % "provider_metrics": " or ".join(form % job for job in jobs)
        for form in ('absent(up{job="%s"})', 'group by (job) (up{job="%s"})')
    } | {
        'job="otel-collector"': 'job="traces/collector.v2"',
        'job="alertmanager"': 'job="monitoring-alertmanager"',
    }
    own = {}
    for path in RULE_FILES:
        text = path.read_text(encoding="utf-8").replace("docs/runbooks/", url)
        for own_text, instead in texts.items():
            text = text.replace(own_text, instead)
        own[path.stem] = yaml.safe_load(text)
    files = rules_of(rendered("full"))
    del files["local"]

    assert without(own, {"GatewayzServerDown"}) == without(files, {"GatewayzServerDown"})


@pytest.mark.parametrize("options", [(), jobs_of_servers(COMPOSE)], ids=["no-servers", "servers"])
def test_rules_are_unchanged_by_default(rendered: Rendered, options: Sequence[str]) -> None:
    """With the names of the compose file the rules are the project's; alerts on a server need its name."""
    changed = {"GatewayzServerDown"} if options else NEED_A_SERVER

    files = rules_of(rendered("minimal", RULES_ON, *options))
    alerts = {
        rule.get("alert") for file in files.values() for group in file["groups"] for rule in group["rules"]
    }

    assert without(own_rules(), changed) == without(files, {"GatewayzServerDown"})
    assert (NEED_A_SERVER if options else set()) == alerts & NEED_A_SERVER


@every_helm
@pytest.mark.parametrize(
    "options",
    [
        ("full",),
        ("minimal", RULES_ON),
        ("minimal", RULES_ON, "--set=prometheusRule.serverJobs.loki=loki"),
        (
            "minimal",
            RULES_ON,
            "--set=prometheusRule.objective=.9",
            '--set=prometheusRule.mutedProviders={a"b}',
        ),
    ],
    ids=["full", "minimal", "one-server", "local"],
)
def test_prometheus_takes_the_rules(
    helms: Mapping[str, Helm], programs: Mapping[str, Path], tmp_path: Path, helm: str, options: Sequence[str]
) -> None:
    """Prometheus finds nothing wrong with what is rendered."""
    example, *others = options
    files = write_rules(rules_of(Rendered(helms[helm])(example, *others)), tmp_path)
    command = [str(programs["promtool"]), "check", "rules", "--lint-fatal", *files]
    checked = subprocess.run(command, capture_output=True, text=True, check=False)

    assert 0 == checked.returncode, checked.stdout + checked.stderr


@every_helm
@pytest.mark.parametrize(
    "value",
    [
        "otherJobs",
        "serverJobs",
        "serverJobs.otelCollector",
        "objective",
        "criticalProviders",
        "mutedProviders",
    ],
)
def test_null_is_as_good_as_empty(helms: Mapping[str, Helm], helm: str, value: str) -> None:
    """Helm removes a value that is null: the rules are those without it."""
    render = Rendered(helms[helm])

    removed = render("minimal", RULES_ON, f"--set=prometheusRule.{value}=null")

    assert rules_of(render("minimal", RULES_ON)) == rules_of(removed)


def test_local_rules(rendered: Rendered) -> None:
    """What the values say of providers makes the rules of prometheus/local.example.yml."""
    example = yaml.safe_load((ROOT / "prometheus/local.example.yml").read_text(encoding="utf-8"))
    options = [
        "--set=prometheusRule.objective=0.99",
        "--set=prometheusRule.criticalProviders={openai}",
        "--set=prometheusRule.mutedProviders={groq}",
    ]

    assert example == rules_of(rendered("minimal", RULES_ON, *options))["local"]
    assert "local" not in rules_of(rendered("minimal", RULES_ON))


@every_helm
@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("alerts.yml", 'absent(up{job="provider_metrics"})'),
        ("recording.yml", 'group by (job) (up{job="provider_metrics"})'),
        ("alerts.yml", '{job="otel-collector"}'),
        ("alerts.yml", '{job="alertmanager"}'),
        ("alerts.yml", "prometheus|alertmanager|loki|tempo|otel-collector|grafana"),
    ],
)
def test_text_that_the_rules_no_longer_have(
    helms: Mapping[str, Helm], tmp_path: Path, helm: str, file: str, text: str
) -> None:
    """Where the rules say a job in another way the chart is not rendered: it would watch a wrong job."""
    chart = Path(shutil.copytree(CHART, tmp_path / "chart"))
    rules = chart / "files/rules" / file
    rules.write_text(rules.read_text("utf-8").replace(text, 'up{job="another"}'), encoding="utf-8")
    code, _, errors = helms[helm].run(
        "template", "exporter", str(chart), "--kube-version=1.30", values("minimal"), RULES_ON
    )

    assert 0 != code
    assert "do not contain the text" in errors
    assert text in errors


@every_helm
def test_provider_that_is_critical_and_muted(helms: Mapping[str, Helm], helm: str) -> None:
    """A provider that two lists name is refused by its name."""
    options = [f"--set=prometheusRule.{name}Providers={{groq}}" for name in ("critical", "muted")]
    code, _, errors = helms[helm].run(
        "template", "exporter", str(CHART), "--kube-version=1.30", values("minimal"), *options
    )

    assert 0 != code
    assert "both contain groq" in errors


def test_exporter_of_another_job_is_missed(
    rendered: Rendered, programs: Mapping[str, Path], tmp_path: Path
) -> None:
    """With the jobs of other releases the alert fires for the one that is down, and names it."""
    rules = rules_of(rendered("minimal", RULES_ON, "--set=prometheusRule.otherJobs={second}"))
    series = {'up{job="provider_metrics"}': "1x10", 'up{job="second"}': "0x10"}

    firing(programs, tmp_path, rules, series, "5m", "GatewayzExporterDown", [about_job("second", "critical")])


@pytest.mark.parametrize(
    ("series", "gone"),
    [
        ({'up{job="provider_metrics"}': "1x30", 'up{job="second"}': "1x5 stale"}, ["second"]),
        ({'up{job="provider_metrics"}': "1x30"}, ["second"]),
        ({'up{job="second"}': "1x30"}, ["provider_metrics"]),
        ({}, ["provider_metrics", "second"]),
        ({'up{job="provider_metrics"}': "1x30", 'up{job="second"}': "1x30"}, []),
    ],
    ids=["vanished", "never-there", "own-never-there", "none", "both"],
)
def test_job_without_a_target(
    rendered: Rendered,
    programs: Mapping[str, Path],
    tmp_path: Path,
    series: Mapping[str, str],
    gone: Sequence[str],
) -> None:
    """Of two jobs the alert fires for the one that has no target, and names it."""
    rules = rules_of(rendered("minimal", RULES_ON, "--set=prometheusRule.otherJobs={second}"))

    firing(
        programs,
        tmp_path,
        rules,
        series,
        "20m",
        "GatewayzExporterGone",
        [about_job(job, "critical") for job in gone],
    )


@pytest.mark.parametrize(
    ("series", "down"),
    [
        ({'up{job="traces/collector.v2"}': "1x40", 'up{job="logs/loki"}': "1x5 stale"}, ["logs/loki"]),
        ({'up{job="traces/collector.v2"}': "1x40"}, ["logs/loki"]),
        ({'up{job="traces/collector.v2"}': "0x40", 'up{job="logs/loki"}': "1x40"}, ["traces/collector.v2"]),
        ({'up{job="traces/collectorxv2"}': "0x40", 'up{job="logs/loki"}': "1x40"}, ["traces/collector.v2"]),
        (
            {
                'up{job="traces/collector.v2"}': "1x40",
                'up{job="logs/loki"}': "1x40",
                'up{job="tempo"}': "0x40",
            },
            [],
        ),
    ],
    ids=["vanished", "never-there", "down", "another-name", "not-named"],
)
def test_server_down(
    rendered: Rendered,
    programs: Mapping[str, Path],
    tmp_path: Path,
    series: Mapping[str, str],
    down: Sequence[str],
) -> None:
    """The alert fires for each named server that is down or has no target, and for no other."""
    servers = jobs_of_servers({"loki": "logs/loki", "otelCollector": "traces/collector.v2"})
    rules = rules_of(rendered("minimal", RULES_ON, *servers))

    firing(
        programs,
        tmp_path,
        rules,
        series,
        "20m",
        "GatewayzServerDown",
        [about_job(job, "warning") for job in down],
    )


@pytest.mark.parametrize(
    ("alert", "series", "labels"),
    [
        (
            "GatewayzTelemetryNotDelivered",
            'otelcol_exporter_send_failed_spans{job="traces/collector.v2", exporter="otlp"}',
            {"job": "traces/collector.v2", "exporter": "otlp", "severity": "warning"},
        ),
        (
            "GatewayzNotificationsFailing",
            'alertmanager_notifications_failed_total{job="monitoring-alertmanager", integration="slack"}',
            {"job": "monitoring-alertmanager", "integration": "slack", "severity": "critical"},
        ),
    ],
)
def test_alerts_of_named_servers(
    rendered: Rendered,
    programs: Mapping[str, Path],
    tmp_path: Path,
    alert: str,
    series: str,
    labels: Mapping[str, str],
) -> None:
    """Alerts on what the collector and Alertmanager publish follow the names of their jobs."""
    expected = [{**labels, "category": "exporter"}]

    firing(programs, tmp_path, rules_of(rendered("full")), {series: "0+1x40"}, "20m", alert, expected)


def test_named_providers(rendered: Rendered, programs: Mapping[str, Path], tmp_path: Path) -> None:
    """One that is named wakes people, one that is muted fires nothing, any other is a warning."""
    series = {
        name.format(provider=provider): values
        for provider in ("openai", "groq", "mistral")
        for name, values in DOWN.items()
    }
    expected = [about_provider("openai", "critical"), about_provider("mistral", "warning")]

    firing(programs, tmp_path, rules_of(rendered("full")), series, "20m", "GatewayzProviderDown", expected)


@pytest.mark.parametrize(
    ("objective", "providers"), [("0.995", ["mistral"]), ("", [])], ids=["objective", "no-objective"]
)
def test_objective(
    rendered: Rendered, programs: Mapping[str, Path], tmp_path: Path, objective: str, providers: Sequence[str]
) -> None:
    """The error budget of a provider that is down burns with an objective, and only then."""
    series = {name.format(provider="mistral"): values for name, values in DOWN.items()}
    rules = rules_of(rendered("minimal", RULES_ON, f"--set=prometheusRule.objective={objective}"))
    expected = [about_provider(provider, "warning") for provider in providers]

    firing(programs, tmp_path, rules, series, "20m", "GatewayzProviderBudgetBurning", expected)


def about_job(job: str, severity: str) -> dict[str, str]:
    """Return the labels of an alert on a job."""
    return {"severity": severity, "category": "exporter", "job": job}


def about_provider(provider: str, severity: str) -> dict[str, str]:
    """Return the labels of an alert on a provider."""
    return {"severity": severity, "category": "provider", "job": "provider_metrics", "provider": provider}


def firing(
    programs: Mapping[str, Path],
    folder: Path,
    rules: Mapping[str, Tree],
    series: Mapping[str, str],
    time: str,
    alert: str,
    expected: Sequence[Mapping[str, str]],
) -> None:
    """Assert which alerts of a name Prometheus has firing at a time, by their labels."""
    samples = [
        {
            "labels": selector({"__name__": "ALERTS", "alertname": alert, "alertstate": "firing", **labels}),
            "value": 1,
        }
        for labels in expected
    ]
    query = f"ALERTS{selector({'alertname': alert, 'alertstate': 'firing'})}"
    test = {
        "rule_files": write_rules(rules, folder),
        "evaluation_interval": "30s",
        "tests": [
            {
                "interval": "1m",
                "input_series": [{"series": name, "values": text} for name, text in series.items()],
                "promql_expr_test": [{"expr": query, "eval_time": time, "exp_samples": samples}],
            }
        ],
    }
    file = folder / "test.yml"
    file.write_text(yaml.safe_dump(test), encoding="utf-8")
    command = [str(programs["promtool"]), "test", "rules", str(file)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)

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
    """With jobs of its own no rule looks for a job of the compose file."""
    texts = yaml.safe_dump_all(of_kind(rendered("full"), "PrometheusRule"), width=1000)
    named = {job for jobs in re.findall(r'job=~?"([^"%]+)"', texts) for job in jobs.split("|")}

    assert set() == named & {"provider_metrics", *COMPOSE.values()}


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
        ("minimal", ["exec deployment/", "port-forward", "does not scrape"], ["Everyone", "network policy"]),
        ("full", ["https://providers.example.com/"], ["port-forward", "does not scrape", "Everyone"]),
        ("client-certificates", ["https://localhost:8001/", "network policy", "rollout restart"], []),
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


@pytest.mark.parametrize(("server", "told"), [("", True), ("loki", False)], ids=["none", "one"])
def test_note_on_servers_without_a_name(helms: Mapping[str, Helm], server: str, told: bool) -> None:
    """Where the rules watch no server the notes say so."""
    options = (RULES_ON, f"--set=prometheusRule.serverJobs.loki={server}")
    arguments = ("install", "exporter", str(CHART), "--dry-run=client", values("minimal"), *options)
    code, output, errors = helms["helm"].run(*arguments)

    assert 0 == code, errors
    assert told == ("prometheusRule.serverJobs" in output.partition("\nNOTES:\n")[2])


def test_scaled_out_prometheus_is_valid(programs: Mapping[str, Path], tmp_path: Path) -> None:
    """What kube-prometheus-stack is told is what the operator's Prometheus takes."""
    path = ROOT / "deploy/helm/scale-out/kube-prometheus-stack.yaml"
    spec = yaml.safe_load(path.read_text(encoding="utf-8"))["prometheus"]["prometheusSpec"]
    file = tmp_path / "prometheus.yaml"
    head = {"apiVersion": "monitoring.coreos.com/v1", "kind": "Prometheus", "metadata": {"name": "p"}}
    file.write_text(yaml.safe_dump({**head, "spec": spec}), encoding="utf-8")
    code, output = validate(programs, file, KUBERNETES[-1])

    assert 0 == code, output
