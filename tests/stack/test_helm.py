"""What the real helm makes of the chart: accepted, valid, strict, and what the project has elsewhere."""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import pytest
import yaml

from exporter import SERVICE_NAME, __version__
from tests.promql import RULE_FILES
from tests.stack.chart import (
    CHART,
    EXAMPLES,
    HELMS,
    NAME,
    Helm,
    Rendered,
    Tree,
    of_kind,
    one,
    validate,
    values,
)
from tests.stack.servers import Programs, run
from tests.stack.substitution import ROOT

COMPOSE = {name: name for name in ("prometheus", "alertmanager", "loki", "tempo", "grafana")} | {
    "otelCollector": "otel-collector"
}
"""The jobs of prometheus/prom.yml, by the chart's names for the servers."""
NEED_A_SERVER = {"GatewayzServerDown", "GatewayzTelemetryNotDelivered", "GatewayzNotificationsFailing"}
"""Alerts that need the job of a server."""
RULES_ON = "--set=prometheusRule.enabled=true"

every_example = pytest.mark.parametrize("example", EXAMPLES)


@pytest.fixture(params=HELMS)
def helm(request: pytest.FixtureRequest, helms: Mapping[str, Helm]) -> Helm:
    """Each helm."""
    return helms[request.param]


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


@every_example
def test_lint(helm: Helm, example: str) -> None:
    """Helm's linter has no warning and no error."""
    code, output, errors = helm.run("lint", "--strict", str(CHART), values(example))

    assert (0, None) == (code, re.search(r"\[(WARNING|ERROR)\]", output + errors)), output


@every_example
def test_golden(helm: Helm, example: str) -> None:
    """What is rendered is exactly the golden file, but for the bodies of rules and dashboards."""
    golden = (ROOT / f"tests/golden/helm/{example}.yaml").read_text(encoding="utf-8")

    assert golden == outline(helm.template(values(example)))


@every_example
def test_objects_are_valid_for_the_oldest_version(
    programs: Programs, helms: Mapping[str, Helm], tmp_path: Path, example: str
) -> None:
    """Every object fits its schema strictly."""
    code, output = validate(programs, tmp_path, helms["helm"].template(values(example)))

    assert 0 == code, output


def test_missing_values(helm: Helm) -> None:
    """Without values there is one error that names everything that must be set."""
    errors = helm.refusal("--set=webConfig.tls=server", "--set=ingress.enabled=true")

    named = re.findall(r"^- (\S+) is (?:not )?set", errors, re.MULTILINE)
    assert ["settings.GATEWAY_API_URL", "adminKey.secretName", "webConfig.tls", "ingress.enabled"] == named


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
        "prometheusRule.thresholds.healthyRatio=50",
        "prometheusRule.thresholds.overdueRatio=1.5",
        "prometheusRule.thresholds.providerDownFor=soon",
        "commonLabels.helm\\.sh/chart=mine",
        "extraEnv[0].name=CUSTOM_METRICS_FILE",
    ],
)
def test_wrong_values_are_refused(helm: Helm, wrong: str) -> None:
    """A misspelt name or an invalid value is refused by its name."""
    errors = helm.refusal(values("minimal"), f"--set={wrong}")

    assert "schema" in errors
    assert re.split(r"[.\[=]", wrong)[-2] in errors or "extraEnv" in errors


@pytest.mark.parametrize(
    ("group", "existing"),
    [("webConfig", "secretName"), ("customMetrics", "configMapName"), ("caBundle", "configMapName")],
)
def test_file_that_is_set_twice(helm: Helm, group: str, existing: str) -> None:
    """A file as a value beside an existing one is refused."""
    options = (f"--set={group}.content=a", f"--set={group}.{existing}=a")

    assert f"{group}.content and {group}.{existing} are both set" in helm.refusal(values("minimal"), *options)


def test_files_as_values(helm: Helm, tmp_path: Path) -> None:
    """A file as a value is mounted byte for byte, from a Secret or a ConfigMap, and named by its variable."""
    content = '# a: {{ b }}\n\n  "c": \\d\n'
    (tmp_path / "file").write_text(content, encoding="utf-8")
    groups = ("webConfig", "customMetrics", "caBundle")
    objects = Rendered(helm)("minimal", *(f"--set-file={group}.content={tmp_path}/file" for group in groups))
    pod = one(objects, "Deployment")["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    variables = {variable["name"]: variable["value"] for variable in container["env"]}
    folders = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
    sources = {volume["name"]: volume for volume in pod["volumes"]}
    web = one(objects, "Secret")
    maps = {tree["metadata"]["name"].removeprefix(f"{NAME}-"): tree for tree in of_kind(objects, "ConfigMap")}

    assert {"web.yml": content} == web["stringData"]
    assert {"custom-metrics": {"metrics.yaml": content}, "ca-bundle": {"ca.crt": content}} == {
        name: tree["data"] for name, tree in maps.items()
    }
    assert web["metadata"]["name"] == sources["web-config"]["secret"]["secretName"]
    assert [tree["metadata"]["name"] for tree in maps.values()] == [
        sources[name]["configMap"]["name"] for name in maps
    ]
    assert {
        "WEB_CONFIG_FILE": f"{folders['web-config']}/web.yml",
        "CUSTOM_METRICS_FILE": f"{folders['custom-metrics']}/metrics.yaml",
        "REQUESTS_CA_BUNDLE": f"{folders['ca-bundle']}/ca.crt",
    }.items() <= variables.items()


def test_labels_of_everything(rendered: Rendered) -> None:
    """Common labels are on each object and pod, and more labels cannot replace the chart's."""
    objects = rendered("full", "--set=serviceMonitor.labels.app\\.kubernetes\\.io/name=another")
    template = one(objects, "Deployment")["spec"]["template"]
    labels = [tree["metadata"]["labels"] for tree in (*objects, template)]

    assert {"4711"} == {one.get("example.com/cost-center") for one in labels}
    assert {"provider-metrics-exporter", "provider-metrics-exporter-test"} == {
        one["app.kubernetes.io/name"] for one in labels
    }


def test_operator_injects_no_second_sdk(rendered: Rendered) -> None:
    """The annotation stays beside others, and can be removed."""
    name = "instrumentation.opentelemetry.io/inject-python"
    annotations = [
        one(rendered("minimal", f"--set=podAnnotations.{option}"), "Deployment")["spec"]["template"][
            "metadata"
        ].get("annotations")
        for option in ("a=b", f"{name.replace('.', chr(92) + '.')}=null")
    ]

    assert [{"a": "b", name: "false"}, None] == annotations


def test_package_is_whole(helms: Mapping[str, Helm], tmp_path: Path) -> None:
    """The packaged chart renders the same: nothing that it needs is ignored."""
    code, output, _ = helms["helm"].run("package", str(CHART), f"--destination={tmp_path}")
    package = tmp_path / f"{SERVICE_NAME}-{__version__}.tgz"

    assert 0 == code, output
    assert helms["helm"].template(values("full")) == helms["helm"].template(values("full"), chart=package)


def rules_of(objects: Sequence[Tree]) -> dict[str, Tree]:
    """Return the rules of every PrometheusRule by the name of the file that they come from."""
    rules = of_kind(objects, "PrometheusRule")
    return {rule["metadata"]["name"].removeprefix(f"{NAME}-"): rule["spec"] for rule in rules}


def own_rules(texts: Mapping[str, str] = {}) -> dict[str, Tree]:
    """Return the project's rules by the name of their file, with some texts replaced by others."""
    own = {}
    for path in RULE_FILES:
        text = path.read_text(encoding="utf-8")
        for own_text, instead in texts.items():
            text = text.replace(own_text, instead)
        own[path.stem] = yaml.safe_load(text)
    return own


def without(files: Mapping[str, Tree], alerts: set[str]) -> dict[str, list[Tree]]:
    """Return the groups of rules without some alerts."""
    return {
        name: [
            {**group, "rules": [rule for rule in group["rules"] if rule.get("alert") not in alerts]}
            for group in file["groups"]
        ]
        for name, file in files.items()
    }


def jobs_of_servers(jobs: Mapping[str, str]) -> list[str]:
    """Return the options that name the jobs of servers."""
    return [f"--set=prometheusRule.serverJobs.{server}={job}" for server, job in jobs.items()]


def test_rules_are_the_projects(rendered: Rendered) -> None:
    """Each rule is that of prometheus/rules/, with a whole link to its runbook, but for the names of jobs."""
    jobs = ("second_gateway", "provider-metrics", "third")
    texts = {
        form % "provider_metrics": " or ".join(form % job for job in jobs)
        for form in ('absent(up{job="%s"})', 'group by (job) (up{job="%s"})')
    } | {
        "docs/runbooks/": "https://git.example.com/gateway/exporter/-/blob/main/docs/runbooks/",
        'job="otel-collector"': 'job="traces/collector.v2"',
        'job="alertmanager"': 'job="monitoring-alertmanager"',
    }
    thresholds = yaml.safe_load((CHART / "values.yaml").read_text("utf-8"))["prometheusRule"]["thresholds"]
    options = [f"--set=prometheusRule.thresholds.{name}={value}" for name, value in thresholds.items()]
    files = rules_of(rendered("full", *options))
    del files["local"]

    assert without(own_rules(texts), {"GatewayzServerDown"}) == without(files, {"GatewayzServerDown"})


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


THRESHOLDS = {
    "providerDownFor": ("5m", "GatewayzProviderDown", "for", "2m", "5m"),
    "providerDegradedFor": ("1h", "GatewayzProviderDegraded", "for", "30m", "1h"),
    "healthChanges": ("8", "GatewayzProviderFlapping", "expr", ">= 6", ">= 8"),
    "slowFactor": ("2.5", "GatewayzProviderSlow", "expr", "> 3 *", "> 2.5 *"),
    "slowSeconds": ("3", "GatewayzProviderSlow", "expr", "held > 1\n", "held > 3\n"),
    "healthyRatio": ("0.75", "GatewayzProvidersHealthyLow", "expr", "< 0.5", "< 0.75"),
    "overdueRatio": ("0.1", "GatewayzHealthChecksOverdue", "expr", "> 0.25", "> 0.1"),
    "certificateDays": ("21", "GatewayzCertificateExpiring", "expr", "< 14 *", "< 21 *"),
}
"""A value of each threshold, the alert, its field, the text there, and the text with the value."""


@pytest.mark.parametrize("threshold", THRESHOLDS)
def test_thresholds(rendered: Rendered, threshold: str) -> None:
    """A threshold changes only its alert, and only there."""
    value, alert, field, before, after = THRESHOLDS[threshold]
    option = f"--set=prometheusRule.thresholds.{threshold}={value}"
    expected = rules_of(rendered("minimal", RULES_ON))
    for rule in (rule for file in expected.values() for group in file["groups"] for rule in group["rules"]):
        if rule.get("alert") == alert:
            assert before in rule[field]
            rule[field] = rule[field].replace(before, after)

    assert expected == rules_of(rendered("minimal", RULES_ON, option))


def test_every_threshold_is_tested() -> None:
    """Each threshold of values.yaml has a row."""
    defaults = yaml.safe_load((CHART / "values.yaml").read_text("utf-8"))["prometheusRule"]["thresholds"]

    assert list(defaults) == list(THRESHOLDS)


LOCAL = ("--set=prometheusRule.objective=.9", '--set=prometheusRule.mutedProviders={a"b}')


@pytest.mark.parametrize(
    "options",
    [("full",), ("minimal",), ("minimal", *jobs_of_servers({"loki": "loki"})), ("minimal", *LOCAL)],
    ids=["full", "minimal", "one-server", "local"],
)
def test_prometheus_takes_the_rules(
    helm: Helm, programs: Programs, tmp_path: Path, options: Sequence[str]
) -> None:
    """Prometheus finds nothing wrong with what is rendered."""
    files = write_rules(rules_of(Rendered(helm)(*options, RULES_ON)), tmp_path)
    code, output = run(programs["promtool"], "check", "rules", "--lint-fatal", *files)

    assert 0 == code, output


def write_rules(specs: Mapping[str, Tree], folder: Path) -> list[str]:
    """Write rules into files as Prometheus reads them, and return their paths."""
    for name, spec in specs.items():
        (folder / f"{name}.yml").write_text(yaml.safe_dump(spec), encoding="utf-8")
    return [str(folder / f"{name}.yml") for name in specs]


LISTS = ("otherJobs", "serverJobs", "criticalProviders", "mutedProviders", "thresholds")


@pytest.mark.parametrize("value", [*LISTS, "serverJobs.otelCollector", "objective"])
def test_null_is_as_good_as_empty(helm: Helm, value: str) -> None:
    """Helm removes a value that is null: the rules are those without it."""
    render = Rendered(helm)

    removed = render("minimal", RULES_ON, f"--set=prometheusRule.{value}=null")

    assert rules_of(render("minimal", RULES_ON)) == rules_of(removed)


def test_local_rules(rendered: Rendered) -> None:
    """The values about providers render the rules of prometheus/local.example.yml."""
    example = yaml.safe_load((ROOT / "prometheus/local.example.yml").read_text(encoding="utf-8"))
    local = ("objective=0.99", "criticalProviders={openai}", "mutedProviders={groq}")
    options = [f"--set=prometheusRule.{value}" for value in local]

    assert example == rules_of(rendered("minimal", RULES_ON, *options))["local"]
    assert "local" not in rules_of(rendered("minimal", RULES_ON))


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("alerts.yml", 'absent(up{job="provider_metrics"})'),
        ("recording.yml", 'group by (job) (up{job="provider_metrics"})'),
        ("alerts.yml", '{job="otel-collector"}'),
        ("alerts.yml", '{job="alertmanager"}'),
        ("alerts.yml", "prometheus|alertmanager|loki|tempo|otel-collector|grafana"),
        ("alerts.yml", ":held1h >= 6"),
        ("alerts.yml", "30m"),
    ],
)
def test_text_that_the_rules_no_longer_have(helm: Helm, tmp_path: Path, file: str, text: str) -> None:
    """Rules with another text for a job are not rendered: they would watch a wrong job."""
    chart = Path(shutil.copytree(CHART, tmp_path / "chart"))
    rules = chart / "files/rules" / file
    rules.write_text(rules.read_text("utf-8").replace(text, 'up{job="another"}'), encoding="utf-8")

    errors = helm.refusal(values("minimal"), RULES_ON, chart=chart)

    assert "do not contain the text" in errors
    assert text in errors


def test_provider_that_is_critical_and_muted(helm: Helm) -> None:
    """A provider in both lists is refused by its name."""
    options = [f"--set=prometheusRule.{name}Providers={{groq}}" for name in ("critical", "muted")]

    assert "both contain groq" in helm.refusal(values("minimal"), *options)


OWN, SECOND = "provider_metrics", "second"
COLLECTOR, SIMILAR, LOKI = "traces/collector.v2", "traces/collectorxv2", "logs/loki"
"""Jobs; the second of the servers' is matched by the first as a pattern."""
TWO_JOBS = ("minimal", "--set=prometheusRule.otherJobs={second}")
SERVERS = ("minimal", *jobs_of_servers({"loki": LOKI, "otelCollector": COLLECTOR}))


def up(jobs: Mapping[str, str]) -> dict[str, str]:
    """Return the series `up` of jobs."""
    return {f'up{{job="{job}"}}': samples for job, samples in jobs.items()}


def about(severity: str, job: str) -> dict[str, str]:
    """Return the labels of an alert."""
    return {"severity": severity, "category": "exporter", "job": job}


critical, warning = partial(about, "critical"), partial(about, "warning")

FIRING: Mapping[str, tuple[Sequence[str], Mapping[str, str], str, Sequence[Mapping[str, str]]]] = {
    "exporter-down": (TWO_JOBS, up({OWN: "1x30", SECOND: "0x30"}), "ExporterDown", [critical(SECOND)]),
    "vanished": (TWO_JOBS, up({OWN: "1x30", SECOND: "1x5 stale"}), "ExporterGone", [critical(SECOND)]),
    "never-there": (TWO_JOBS, up({OWN: "1x30"}), "ExporterGone", [critical(SECOND)]),
    "own-never-there": (TWO_JOBS, up({SECOND: "1x30"}), "ExporterGone", [critical(OWN)]),
    "none": (TWO_JOBS, {}, "ExporterGone", [critical(OWN), critical(SECOND)]),
    "both": (TWO_JOBS, up({OWN: "1x30", SECOND: "1x30"}), "ExporterGone", []),
    "server-vanished": (SERVERS, up({COLLECTOR: "1x40", LOKI: "1x5 stale"}), "ServerDown", [warning(LOKI)]),
    "server-never-there": (SERVERS, up({COLLECTOR: "1x40"}), "ServerDown", [warning(LOKI)]),
    "server-down": (SERVERS, up({COLLECTOR: "0x40", LOKI: "1x40"}), "ServerDown", [warning(COLLECTOR)]),
    "another-name": (SERVERS, up({SIMILAR: "0x40", LOKI: "1x40"}), "ServerDown", [warning(COLLECTOR)]),
    "not-named": (SERVERS, up({COLLECTOR: "1x40", LOKI: "1x40", "tempo": "0x40"}), "ServerDown", []),
}
"""Options of the chart, series, a name of alerts without its prefix, and the labels of those that fire."""


@pytest.mark.parametrize("case", FIRING)
def test_firing(rendered: Rendered, programs: Programs, tmp_path: Path, case: str) -> None:
    """After 20 minutes exactly these alerts of a name fire, about the jobs of the values."""
    options, series, alert, expected = FIRING[case]
    alerts = {"alertname": f"Gatewayz{alert}", "alertstate": "firing"}
    inputs = [{"series": name, "values": samples} for name, samples in series.items()]
    samples = [{"labels": f"ALERTS{selector({**alerts, **labels})}", "value": 1} for labels in expected]
    asked = {"expr": f"ALERTS{selector(alerts)}", "eval_time": "20m", "exp_samples": samples}
    test = {
        "rule_files": write_rules(rules_of(rendered(*options, RULES_ON)), tmp_path),
        "evaluation_interval": "30s",
        "tests": [{"interval": "1m", "input_series": inputs, "promql_expr_test": [asked]}],
    }
    file = tmp_path / "test.yml"
    file.write_text(yaml.safe_dump(test), encoding="utf-8")
    code, output = run(programs["promtool"], "test", "rules", file)

    assert 0 == code, output


def selector(labels: Mapping[str, str]) -> str:
    """Return labels as PromQL writes them."""
    return "{" + ", ".join(f'{name}="{value}"' for name, value in labels.items()) + "}"


def test_dashboards_are_the_projects(rendered: Rendered) -> None:
    """Each dashboard is a ConfigMap whose file is byte for byte that of grafana/dashboards/."""
    maps = [document for document in of_kind(rendered("full"), "ConfigMap") if is_dashboard(document)]
    files = {name: text for document in maps for name, text in document["data"].items()}
    own = {path.name: path.read_text("utf-8") for path in (ROOT / "grafana/dashboards").glob("*.json")}

    assert own == files


def is_dashboard(config_map: Tree) -> bool:
    """Return whether the sidecar of kube-prometheus-stack's Grafana selects it."""
    return "grafana_dashboard" in config_map["metadata"]["labels"]


@every_example
def test_selectors(rendered: Rendered, example: str) -> None:
    """Everything that selects pods selects these, and everything that names a port finds it."""
    objects = rendered(example, "--set=replicaCount=2", "--set=serviceMonitor.enabled=true")
    pod = one(objects, "Deployment")["spec"]["template"]
    selector = one(objects, "Deployment")["spec"]["selector"]["matchLabels"]
    service = one(objects, "Service")
    ports = {port["name"] for port in pod["spec"]["containers"][0]["ports"]}
    (spread,) = pod["spec"]["topologySpreadConstraints"]
    test = one(objects, "Pod")

    # No version among them: it would leave out the pods of the release before.
    assert {"app.kubernetes.io/name", "app.kubernetes.io/instance"} == set(selector)
    assert pod["metadata"]["labels"].items() >= selector.items()
    assert selector == service["spec"]["selector"]
    assert selector == one(objects, "PodDisruptionBudget")["spec"]["selector"]["matchLabels"]
    assert selector == spread["labelSelector"]["matchLabels"]
    for policy in of_kind(objects, "NetworkPolicy"):
        assert selector == policy["spec"]["podSelector"]["matchLabels"]
        tester = policy["spec"]["ingress"][0]["from"][0]["podSelector"]["matchLabels"]
        assert test["metadata"]["labels"].items() >= tester.items()
    # Or the Service would send requests to the pod of `helm test`.
    assert not test["metadata"]["labels"].items() >= selector.items()
    monitor = one(objects, "ServiceMonitor")["spec"]
    assert service["metadata"]["labels"].items() >= monitor["selector"]["matchLabels"].items()
    assert {port["targetPort"] for port in service["spec"]["ports"]} == ports
    assert {end["port"] for end in monitor["endpoints"]} == {
        port["name"] for port in service["spec"]["ports"]
    }


@every_example
def test_restricted(rendered: Rendered, example: str) -> None:
    """The image's user, unless the platform sets one; a read-only root, no token; no admin key is made."""
    objects = rendered(example)
    pod = one(objects, "Deployment")["spec"]["template"]["spec"]
    container, context = pod["containers"][0]["securityContext"], pod["securityContext"]

    users = [f"USER {context[name]}:" for name in ("runAsUser",) if name in context]
    assert ([] if example == "openshift" else ["USER 65532:"]) == users
    assert "USER 65532:65532" in (ROOT / "Dockerfile").read_text(encoding="utf-8")
    assert container["readOnlyRootFilesystem"]
    assert (False, False) == (pod["automountServiceAccountToken"], pod["enableServiceLinks"])
    assert [] == [secret for secret in of_kind(objects, "Secret") if "web.yml" not in secret["stringData"]]


@pytest.mark.parametrize(("replicas", "budgets"), [(0, 0), (1, 0), (2, 1), (3, 1)])
def test_disruption_budget(rendered: Rendered, replicas: int, budgets: int) -> None:
    """A single pod may be evicted, or no node could be drained."""
    objects = rendered("minimal", f"--set=replicaCount={replicas}")

    assert budgets == len(of_kind(objects, "PodDisruptionBudget"))


@pytest.mark.parametrize(
    ("example", "shown", "hidden"),
    [
        ("minimal", ["port-forward", "does not scrape"], ["Everyone", "network policy"]),
        (
            "full",
            ["exec deployment/", "https://providers.example.com/"],
            ["port-forward", "does not scrape", "Everyone"],
        ),
        ("client-certificates", ["https://localhost:8001/", "network policy", "rollout restart"], []),
    ],
)
def test_notes(helms: Mapping[str, Helm], example: str, shown: list[str], hidden: list[str]) -> None:
    """The notes after an installation name what to look at, and what is missing."""
    notes = helms["helm"].notes(values(example))

    assert (shown, []) == (
        [text for text in shown if text in notes],
        [text for text in hidden if text in notes],
    )
    commands = re.findall(r"^  ((?:kubectl|helm) .*)", notes, re.MULTILINE)
    assert ["rollout", "test", "exec" if example == "full" else "port-forward"] == [
        re.sub(" --namespace default", "", command).split()[1] for command in commands
    ]


def test_note_on_servers_without_a_name(helms: Mapping[str, Helm]) -> None:
    """The notes say where the rules watch no server."""
    notes = {
        job: helms["helm"].notes(values("minimal"), RULES_ON, *jobs_of_servers({"loki": job}))
        for job in ("", "a")
    }

    assert {"": True, "a": False} == {job: "prometheusRule.serverJobs" in text for job, text in notes.items()}
