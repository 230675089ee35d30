"""What the chart's objects do: the program in its pod, asked by the kubelet and by Prometheus."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

import pytest
import requests
import yaml

from tests.certificates import MUTUAL, PASSWORD, USER, Folder, hashed
from tests.http_server import free_port
from tests.process import program
from tests.replay import ReplayGateway
from tests.stack import servers
from tests.stack.chain import KEY, OWN
from tests.stack.chart import NAME, NAMESPACE, Rendered, Tree, one
from tests.stack.pod import Pod, Secrets, run_test
from tests.stack.servers import Programs
from tests.stack.substitution import ROOT
from tests.waiting import wait_until


@pytest.fixture
def secrets(tmp_path: Path) -> Mapping[str, Mapping[str, bytes]]:
    """Secrets and ConfigMaps of the examples; clients need a certificate in one of them only."""
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
        "authorities": {"ca-bundle.crt": folder.authority.cert_pem.bytes()},
        "custom-metrics": {"metrics.yaml": (ROOT / "examples/custom-metrics.yaml").read_bytes()},
    }


def pod_of(objects: Sequence[Tree], tmp_path: Path, secrets: Secrets) -> Pod:
    """Return the pod of the Deployment, in a folder, with the files that the chart has as values."""
    own = {
        tree["metadata"]["name"]: {
            key: text.encode() for key, text in (tree.get("stringData") or tree["data"]).items()
        }
        for tree in objects
        if tree["kind"] in ("ConfigMap", "Secret")
    }
    return Pod(one(objects, "Deployment")["spec"]["template"], tmp_path / "pod", {**secrets, **own})


@pytest.mark.filterwarnings("ignore:Unverified HTTPS request")
@pytest.mark.parametrize(
    ("example", "options", "metrics"),
    [
        ("minimal", [], 200),
        ("full", [], 401),
        ("full", ["--set=settings.PROTECT_HEALTH_ROUTES=true"], 401),
        ("client-certificates", ["--set=webConfig.secretName=exporter-web-mutual"], None),
        ("openshift", [], 401),
    ],
    ids=["minimal", "full", "protected", "client-certificates", "openshift"],
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
    """The program starts with the pod's variables and files; probes and `helm test` find it ready."""
    objects = rendered(example, *options)
    pod = pod_of(objects, tmp_path, secrets)
    port = free_port()
    # The example's proxy and collector are nowhere.
    there = {"HTTPS_PROXY": "", "OTEL_EXPORTER_OTLP_ENDPOINT": ""}
    environment = pod.environment(GATEWAY_API_URL=gateway.url, METRICS_PORT=str(port), **there)
    with program(**environment) as running:
        running.record("Listening")
        running.record("Updated provider metrics")

        assert pod.probe("livenessProbe", port, environment)
        assert pod.probe("readinessProbe", port, environment)
        scheme = "http" if metrics == 200 or example == "openshift" else "https"
        assert 0 == run_test(one(objects, "Pod"), f"{scheme}://127.0.0.1:{port}")
        if metrics:
            url = f"{scheme}://127.0.0.1:{port}/metrics"
            for auth, status in ((None, metrics), ((USER, PASSWORD), 200)):
                assert status == requests.get(url, verify=False, timeout=5, auth=auth).status_code
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
    rendered: Rendered, programs: Programs, tmp_path: Path, gateway: ReplayGateway
) -> None:
    """Two pods are two instances of one job, and the exporter's own labels stay as they are.

    The operator gives a target these labels before the ServiceMonitor's own relabelings come.
    """
    monitor = one(rendered("minimal", "--set=serviceMonitor.enabled=true"), "ServiceMonitor")
    (end,) = monitor["spec"]["endpoints"]
    by_operator = {"job": NAME, "service": NAME, "namespace": NAMESPACE, "container": "exporter"}
    by_operator["endpoint"] = end["port"]
    with ExitStack() as running:
        targets = []
        for pod in ("a", "b"):
            exporter = running.enter_context(program(GATEWAY_API_URL=gateway.url, **OWN))
            targets.append({"targets": [exporter.address()], "labels": {**by_operator, "pod": pod}})
        job = {
            "job_name": "serviceMonitor/gateway/exporter/0",
            "metrics_path": end["path"],
            "scheme": end["scheme"],
            "scrape_interval": "1s",
            "static_configs": targets,
            "relabel_configs": [as_prometheus(relabeling) for relabeling in end["relabelings"]],
        }
        config = yaml.safe_dump({"scrape_configs": [job]})
        prometheus = running.enter_context(servers.prometheus_with(programs, tmp_path, config))
        wait_until(lambda: len(found(prometheus, "gatewayz_up")) == 2)

        assert [("provider_metrics", "a"), ("provider_metrics", "b")] == sorted(
            (series["job"], series["pod"]) for series in found(prometheus, "gatewayz_up")
        )
        fetches = found(prometheus, 'gatewayz_exporter_fetches_total{outcome="ok"}')
        endpoints = sorted(series["endpoint"] for series in fetches)
        assert ["providers", "providers", "stats", "stats"] == endpoints
        assert [] == found(prometheus, '{exported_endpoint=~".+"}')
        assert [] == found(prometheus, 'up{endpoint=~".+"}')


def as_prometheus(relabeling: Mapping[str, str]) -> dict[str, str]:
    """Return a relabeling of the operator as Prometheus writes it."""
    return {re.sub(r"([A-Z])", lambda found: f"_{found[1].lower()}", key): v for key, v in relabeling.items()}


def found(prometheus: servers.Server, query: str) -> list[Mapping[str, str]]:
    """Return the labels of the series that a query finds."""
    return [series["metric"] for series in prometheus.query(query)]


@pytest.mark.parametrize("status", [404, 503])
def test_of_helm_fails(
    rendered: Rendered, tmp_path: Path, secrets: Secrets, gateway: ReplayGateway, status: int
) -> None:
    """The test of a release fails while the exporter is not ready, and when something else answers."""
    pod = pod_of(rendered("minimal"), tmp_path, secrets)
    test = one(rendered("minimal"), "Pod")
    gateway.answers.clear()
    with program(**pod.environment(GATEWAY_API_URL=gateway.url, METRICS_PORT="0")) as running:
        root = f"http://{running.address()}" if status == 503 else gateway.url

        assert 1 == run_test(test, root, seconds=0)
