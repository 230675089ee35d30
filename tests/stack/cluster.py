"""A Kubernetes API server with its etcd: admission and storage are real; nothing schedules or runs pods."""

from __future__ import annotations

import itertools
import json
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import requests
import yaml
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from tests.http_server import free_port
from tests.stack.build import OPERATOR, module
from tests.stack.servers import Programs, Server
from tests.waiting import wait_until

Tree = Mapping[str, Any]

TOKEN = "token-of-the-tests"
PRIORITY_CLASS = "monitoring"
DEFINITIONS = ("prometheuses", "prometheusrules", "servicemonitors")
"""Custom resources of the Prometheus Operator that the project has."""
RESTRICTED = {
    f"pod-security.kubernetes.io/{mode}": value
    for mode, value in (("enforce", "restricted"), ("enforce-version", "latest"), ("warn", "restricted"))
}


class Cluster:
    """The API, as an administrator uses it."""

    def __init__(self, server: Server) -> None:
        """Talk to a server that is ready."""
        self._url = server.url
        self.kubeconfig = server.folder / "kubeconfig"
        """The file by which helm and kubectl find the server."""
        self.kubeconfig.write_text(_kubeconfig(server), encoding="utf-8")
        self._session = requests.Session()
        self._session.headers["Authorization"] = f"Bearer {TOKEN}"
        self._session.verify = str(server.verify)
        # No proxy and no authorities of the machine.
        self._session.trust_env = False
        self._names = itertools.count(1)

    def namespace(self) -> str:
        """Create a namespace that enforces the restricted standard, and return its name.

        The controllers of a real cluster create its default service account.
        """
        name = f"namespace-{next(self._names)}"
        space = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": RESTRICTED}}
        account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default"}}
        assert [] == self.apply([space, account], name)
        return name

    def get(self, tree: Tree, namespace: str) -> Tree | None:
        """Return an object as it is stored, None if it is not."""
        response = self.request("GET", self.path(tree, namespace))
        return None if response.status_code == 404 else content(response)

    def objects(self, resource: str, namespace: str) -> Sequence[Tree]:
        """Return the objects of a resource of the core API in a namespace."""
        return list(content(self.request("GET", f"/api/v1/namespaces/{namespace}/{resource}"))["items"])

    def apply(self, trees: Sequence[Tree], namespace: str, dry_run: bool = False) -> list[str]:
        """Apply objects server-side with strict validation, and return refusals and warnings."""
        query = "?fieldManager=tests&fieldValidation=Strict" + ("&dryRun=All" if dry_run else "")
        problems = []
        for tree in trees:
            path = self.path(tree, namespace)
            response = self.request("PATCH", path + query, tree, "application/apply-patch+yaml")
            problems += [response.json()["message"]] if response.status_code >= 400 else []
            problems += [response.headers["Warning"]] if "Warning" in response.headers else []
        return problems

    def request(self, method: str, path: str, tree: Tree | None = None, kind: str = "") -> requests.Response:
        """Send one request, with an object of a media type as its body."""
        body = None if tree is None else json.dumps(tree)
        headers = {"Content-Type": kind} if kind else {}
        return self._session.request(method, self._url + path, data=body, headers=headers, timeout=30)

    def path(self, tree: Tree, namespace: str) -> str:
        """Return the path of an object."""
        version = tree["apiVersion"]
        root = f"/apis/{version}" if "/" in version else f"/api/{version}"
        resources = content(self.request("GET", root))["resources"]
        row = next(row for row in resources if row["kind"] == tree["kind"] and "/" not in row["name"])
        within = f"/namespaces/{namespace}" if row["namespaced"] else ""
        return f"{root}{within}/{row['name']}/{tree['metadata']['name']}"

    @contextmanager
    def kubelet(self, namespace: str, run: Callable[[Tree], int]) -> Iterator[None]:
        """Run the pods of a namespace in place of a node.

        Args:
            namespace: The pods' namespace.
            run: Receives a pod, and returns its exit code.
        """
        stopped = threading.Event()
        thread = threading.Thread(target=self._run_pods, args=(namespace, run, stopped))
        thread.start()
        try:
            yield
        finally:
            stopped.set()
            thread.join()

    def _run_pods(self, namespace: str, run: Callable[[Tree], int], stopped: threading.Event) -> None:
        while not stopped.wait(0.1):
            for pod in self.objects("pods", namespace):
                if pod["status"]["phase"] == "Pending":
                    phase = "Failed" if run(pod) else "Succeeded"
                    path = f"/api/v1/namespaces/{namespace}/pods/{pod['metadata']['name']}/status"
                    patch = {"status": {"phase": phase}}
                    self.request("PATCH", path, patch, "application/merge-patch+json").raise_for_status()


def content(response: requests.Response) -> Any:
    """Return the parsed body of a response without an error."""
    response.raise_for_status()
    return response.json()


@contextmanager
def running_cluster(programs: Programs, folder: Path) -> Iterator[Cluster]:
    """Start etcd and the API server, with the operator's definitions and a priority class."""
    with _etcd(programs, folder / "etcd") as etcd, _api_server(programs, folder / "api", etcd.url) as server:
        cluster = Cluster(server)
        definitions = module(OPERATOR) / "example/prometheus-operator-crd"
        for name in DEFINITIONS:
            text = (definitions / f"monitoring.coreos.com_{name}.yaml").read_text(encoding="utf-8")
            assert [] == cluster.apply([yaml.safe_load(text)], "")
        served = "/apis/monitoring.coreos.com/v1"
        wait_until(lambda: len(content(cluster.request("GET", served))["resources"]) >= len(DEFINITIONS))
        priority = {"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "value": 1000}
        assert [] == cluster.apply([{**priority, "metadata": {"name": PRIORITY_CLASS}}], "")
        yield cluster


def _kubeconfig(server: Server) -> str:
    """Return the content of a kubeconfig; JSON is YAML, too."""
    name = "tests"
    return json.dumps(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [
                {"name": name, "cluster": {"server": server.url, "certificate-authority": str(server.verify)}}
            ],
            "users": [{"name": name, "user": {"token": TOKEN}}],
            "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
            "current-context": name,
        }
    )


def _etcd(programs: Programs, folder: Path) -> Server:
    folder.mkdir()
    url, peers = (f"http://127.0.0.1:{free_port()}" for _ in range(2))
    command = [
        str(programs["etcd"]),
        f"--data-dir={folder}/data",
        f"--listen-client-urls={url}",
        f"--advertise-client-urls={url}",
        f"--listen-peer-urls={peers}",
        f"--initial-advertise-peer-urls={peers}",
        f"--initial-cluster=default={peers}",
        "--unsafe-no-fsync",
    ]
    return Server("etcd", command, folder, url, "/health")


def _api_server(programs: Programs, folder: Path, etcd: str) -> Server:
    folder.mkdir()
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    (folder / "accounts.key").write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
    )
    (folder / "tokens.csv").write_text(f"{TOKEN},administrator,1,system:masters\n", encoding="utf-8")
    port = free_port()
    command = [
        str(programs["kube-apiserver"]),
        f"--etcd-servers={etcd}",
        "--bind-address=127.0.0.1",
        f"--secure-port={port}",
        f"--cert-dir={folder}/certificates",
        f"--token-auth-file={folder}/tokens.csv",
        "--authorization-mode=RBAC",
        "--service-cluster-ip-range=10.0.0.0/24",
        f"--service-account-key-file={folder}/accounts.key",
        f"--service-account-signing-key-file={folder}/accounts.key",
        "--service-account-issuer=https://kubernetes.default.svc",
        # A loopback address cannot be an endpoint of the Service `kubernetes`.
        "--advertise-address=10.0.0.1",
        "--endpoint-reconciler-type=none",
    ]
    certificate = folder / "certificates/apiserver.crt"
    return Server(
        "kube-apiserver", command, folder, f"https://127.0.0.1:{port}", "/readyz", verify=certificate
    )
