"""What a real API server makes of the chart: releases of helm, admission of pods, plain manifests."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from exporter import SERVICE_NAME, __version__
from tests.process import program
from tests.replay import ReplayGateway
from tests.stack.chain import OWN
from tests.stack.chart import CHART, EXAMPLES, HELMS, Helm, Rendered, Tree, of_kind, one, parsed, values
from tests.stack.cluster import Cluster
from tests.stack.pod import run_test
from tests.stack.servers import Programs
from tests.stack.substitution import ROOT

RELEASE = "exporter"

every_example = pytest.mark.parametrize("example", EXAMPLES)


@pytest.fixture(params=HELMS)
def helm(request: pytest.FixtureRequest, programs: Programs, cluster: Cluster, tmp_path: Path) -> Helm:
    """Each helm, with the cluster."""
    return Helm(programs[request.param], tmp_path, cluster.kubeconfig)


def run(helm: Helm, *arguments: str) -> str:
    """Return what helm prints when it succeeds."""
    code, output, errors = helm.run(*arguments)
    assert 0 == code, errors
    return output


def stored(cluster: Cluster, objects: Sequence[Tree], namespace: str) -> Mapping[str, Tree | None]:
    """Return the objects as the cluster has them, by kind and name."""
    return {f"{tree['kind']}/{tree['metadata']['name']}": cluster.get(tree, namespace) for tree in objects}


@every_example
def test_life_of_a_release(helm: Helm, cluster: Cluster, namespace: str, example: str) -> None:
    """Everything that is rendered is installed, upgraded, rolled back and removed."""
    options = (values(example), f"--namespace={namespace}")
    objects = parsed(helm.template("--skip-tests", *options))
    deployment = one(objects, "Deployment")

    def image() -> Any:
        found = cluster.get(deployment, namespace)
        return found and found["spec"]["template"]["spec"]["containers"][0]["image"]

    run(helm, "install", RELEASE, str(CHART), *options)
    assert [] == [name for name, found in stored(cluster, objects, namespace).items() if not found]
    first = image()

    run(helm, "upgrade", RELEASE, str(CHART), *options, "--set=image.tag=next")
    assert f"{first.partition(':')[0]}:next" == image()
    run(helm, "rollback", RELEASE, "1", f"--namespace={namespace}")
    assert first == image()

    run(helm, "uninstall", RELEASE, f"--namespace={namespace}")
    assert [] == [name for name, found in stored(cluster, objects, namespace).items() if found]
    assert [] == cluster.objects("secrets", namespace)


def pods(objects: Sequence[Tree]) -> list[Tree]:
    """Return the pod of the Deployment, as its controllers would create it, and that of `helm test`."""
    deployment = one(objects, "Deployment")
    template = copy.deepcopy(deployment["spec"]["template"])
    template["metadata"]["name"] = "exporter-0"
    return [{"apiVersion": "v1", "kind": "Pod", **template}, one(objects, "Pod")]


@every_example
def test_pods_are_admitted(rendered: Rendered, cluster: Cluster, namespace: str, example: str) -> None:
    """The restricted standard of Pod Security takes both pods, and the Deployment without a warning."""
    objects = rendered(example, f"--namespace={namespace}")
    assert [] == cluster.apply(of_kind(objects, "ServiceAccount"), namespace)

    assert [] == cluster.apply([one(objects, "Deployment"), *pods(objects)], namespace)
    assert 2 == len(cluster.objects("pods", namespace))


@pytest.mark.parametrize(
    ("option", "reason"),
    [
        ("securityContext=null", "allowPrivilegeEscalation != false"),
        ("securityContext.capabilities=null", "unrestricted capabilities"),
        ("podSecurityContext.runAsNonRoot=null", "runAsNonRoot != true"),
        ("podSecurityContext.runAsUser=0", "runAsUser=0"),
        ("podSecurityContext=null", "seccompProfile"),
    ],
)
def test_pods_that_are_not_admitted(
    rendered: Rendered, cluster: Cluster, namespace: str, option: str, reason: str
) -> None:
    """Without a part of the security contexts both pods are refused; every part can be removed by null."""
    objects = rendered("minimal", f"--namespace={namespace}", f"--set={option}")
    assert [] == cluster.apply(of_kind(objects, "ServiceAccount"), namespace)
    refusals = cluster.apply(pods(objects), namespace)

    assert [True, True] == ["violates PodSecurity" in text and reason in text for text in refusals]
    assert [] == cluster.objects("pods", namespace)


def test_helm_test(helm: Helm, cluster: Cluster, namespace: str, gateway: ReplayGateway) -> None:
    """`helm test` succeeds when the exporter answers, and fails when it does not."""
    run(helm, "install", RELEASE, str(CHART), values("minimal"), f"--namespace={namespace}")
    test = ("test", RELEASE, f"--namespace={namespace}", "--timeout=60s")
    with program(GATEWAY_API_URL=gateway.url, **OWN) as exporter:
        root = f"http://{exporter.address()}"
        exporter.record("Updated provider metrics")
        with cluster.kubelet(namespace, lambda pod: run_test(pod, root)):
            output = run(helm, *test)
    assert "Succeeded" in output
    assert [] == cluster.objects("pods", namespace)

    with cluster.kubelet(namespace, lambda pod: run_test(pod, "http://127.0.0.1:1", seconds=0)):
        code, _, errors = helm.run(*test)
    assert (1, True) == (code, "failed" in errors.lower())


@pytest.mark.parametrize("enabled", ["true", "false"])
def test_umbrella_chart(helm: Helm, cluster: Cluster, namespace: str, tmp_path: Path, enabled: str) -> None:
    """In an umbrella chart the condition decides; names, values and null are as in a release of the chart."""
    folder = tmp_path / "umbrella"
    folder.mkdir()
    dependency = {
        "name": SERVICE_NAME,
        "version": __version__,
        "repository": f"file://{CHART}",
        "condition": f"{SERVICE_NAME}.enabled",
    }
    chart = {"apiVersion": "v2", "name": "umbrella", "version": "1.0.0", "dependencies": [dependency]}
    own = yaml.safe_load((CHART / "ci/openshift-values.yaml").read_text(encoding="utf-8"))
    settings = {SERVICE_NAME: own, "global": {"region": "a"}}
    (folder / "Chart.yaml").write_text(yaml.safe_dump(chart), encoding="utf-8")
    (folder / "values.yaml").write_text(yaml.safe_dump(settings), encoding="utf-8")
    run(helm, "dependency", "build", str(folder))
    option = f"--set={SERVICE_NAME}.enabled={enabled}"
    run(helm, "install", RELEASE, str(folder), option, f"--namespace={namespace}")
    installed = run(helm, "get", "manifest", RELEASE, f"--namespace={namespace}")

    alone = parsed(helm.template("--skip-tests", values("openshift"), f"--namespace={namespace}"))
    by_kind = {tree["kind"]: tree for tree in parsed(installed)}
    assert ({tree["kind"]: tree for tree in alone} if enabled == "true" else {}) == by_kind


@every_example
def test_without_helm(helms: Mapping[str, Helm], cluster: Cluster, namespace: str, example: str) -> None:
    """The output of `helm template` can be applied server-side; done again, nothing changes."""
    states = []
    for _ in range(2):
        text = helms["helm"].template("--skip-tests", values(example), f"--namespace={namespace}")
        objects = parsed(text)
        assert [] == cluster.apply(objects, namespace)
        states.append(stored(cluster, objects, namespace))

    assert states[0] == states[1]
    assert [] == cluster.objects("pods", namespace)


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("readOnlyRootFilesystem: true", "readOnlyRootFileSystem: true"),
        ("scrapeTimeout: 5s", "scrapeTimeout: soon"),
        ("action: labeldrop", "action: labeldropp"),
        ("keep_firing_for: 3m", "keepFiringFor: 3m"),
        ("policyTypes: [Ingress, Egress]", "policyTypes: Ingress"),
        ("pathType: Prefix", "pathType: Prefixed"),
    ],
)
def test_mistakes_are_found(
    helms: Mapping[str, Helm], cluster: Cluster, namespace: str, right: str, wrong: str
) -> None:
    """The server is strict: a misspelt key or a wrong type fails, and a wrong value of the operator's."""
    text = helms["helm"].template(values("full"), f"--namespace={namespace}", "--skip-tests")
    assert right in text

    assert [] != cluster.apply(parsed(text.replace(right, wrong)), namespace, dry_run=True)
    assert [] == cluster.apply(parsed(text), namespace, dry_run=True)


def test_scaled_out_prometheus_is_valid(cluster: Cluster, namespace: str) -> None:
    """The values for kube-prometheus-stack are a valid Prometheus of the operator."""
    path = ROOT / "deploy/helm/scale-out/kube-prometheus-stack.yaml"
    spec = yaml.safe_load(path.read_text(encoding="utf-8"))["prometheus"]["prometheusSpec"]
    head = {"apiVersion": "monitoring.coreos.com/v1", "kind": "Prometheus", "metadata": {"name": "p"}}

    assert [] == cluster.apply([{**head, "spec": spec}], namespace)
