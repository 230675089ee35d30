"""Builds real servers and tools from their own modules, each once, into a cache outside the tree.

No container engine and no download of binaries is needed: a Go toolchain and its module proxy are enough.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

HERE = Path(__file__).parent
BUILDER = "go.opentelemetry.io/collector/cmd/builder@v0.160.0"
MANIFEST = HERE / "collector-builder.yaml"
STAGING = "./staging/"
"""Folder of Kubernetes whose modules are also published on their own, v0.37.2 for v1.37.2."""


class NoToolchainError(Exception):
    """Neither Go nor its modules are to be had; the text is one line."""


@dataclass(frozen=True)
class Server:
    """Programs that come from one module at one version."""

    module: str
    version: str
    """Of the module, as the proxy knows it."""
    release: str
    """Of the product, as its image is tagged."""
    programs: Mapping[str, str]
    """Package below the module by name of the program."""
    tags: str = ""
    as_tool: bool = False
    """Built from a module of our own, for those whose own module file has `replace` lines."""
    version_variable: str = ""
    """Set by the linker to the version, for a server whose clients ask for it."""


PROMETHEUS = Server(
    "github.com/prometheus/prometheus",
    "v0.316.0",
    "3.16.0",
    {"prometheus": "cmd/prometheus", "promtool": "cmd/promtool"},
    # One of the modules of cloud discovery cannot be had; static and file discovery stay.
    tags="remove_all_sd",
)
ALERTMANAGER = Server(
    "github.com/prometheus/alertmanager",
    "v0.31.1",
    "0.31.1",
    {"alertmanager": "cmd/alertmanager", "amtool": "cmd/amtool"},
)
THANOS = Server(
    "github.com/thanos-io/thanos",
    "v0.42.4",
    "0.42.4",
    {"thanos": "cmd/thanos"},
    # As its releases are built: with Prometheus' other representation of labels, receivers panic.
    tags="slicelabels",
    as_tool=True,
)
SEAWEEDFS = Server(
    "github.com/seaweedfs/seaweedfs",
    # Its tags of major versions above 1 are no versions of a Go module.
    "v0.0.0-20261109003541-7506e5f91cd6",
    "4.53",
    {"weed": "weed"},
    as_tool=True,
)
COMPOSE = Server("github.com/docker/compose/v2", "v2.40.3", "2.40.3", {"compose": "cmd"}, as_tool=True)

HELM = Server("helm.sh/helm/v4", "v4.3.1", "4.3.1", {"helm": "cmd/helm"})
HELM_3 = Server("helm.sh/helm/v3", "v3.22.0", "3.22.0", {"helm3": "cmd/helm"})
KUBECTL_VALIDATE = Server("sigs.k8s.io/kubectl-validate", "v0.0.4", "0.0.4", {"kubectl-validate": ""})
KUBERNETES = Server(
    "k8s.io/kubernetes",
    "v1.37.2",
    "1.37.2",
    {"kube-apiserver": "cmd/kube-apiserver", "kubectl": "cmd/kubectl"},
    as_tool=True,
    version_variable="k8s.io/component-base/version.gitVersion",
)
ETCD = Server("go.etcd.io/etcd/server/v3", "v3.7.3", "3.7.3", {"etcd": ""}, as_tool=True)

OPERATOR = "github.com/prometheus-operator/prometheus-operator@v0.85.0"
"""A module of which only files are needed: the definitions of the operator's own resources."""

SERVERS = (
    *(PROMETHEUS, ALERTMANAGER, THANOS, SEAWEEDFS, COMPOSE),
    *(HELM, HELM_3, KUBECTL_VALIDATE, KUBERNETES, ETCD),
)
COLLECTOR_RELEASE = "0.160.0"


def build_all(report: Callable[[str], None]) -> Mapping[str, Path]:
    """Build what the cache does not have yet, and return the path of every program by its name.

    Args:
        report: Told what is being built, one line each.

    Raises:
        NoToolchainError: When there is no Go, or its proxy does not answer.
        RuntimeError: When a build fails; the text ends with its output.
    """
    programs: dict[str, Path] = {}
    for server in SERVERS:
        programs |= _cached(server.programs, _recipe(server), partial(_build, server), report)
    programs |= _cached(["otelcol"], _collector_recipe(), _build_collector, report)
    return programs


def module(name: str) -> Path:
    """Return the folder with a module's files, which Go downloads once.

    Args:
        name: Path and version of the module, with `@` between them.

    Raises:
        NoToolchainError: When there is no Go.
        RuntimeError: When its proxy does not answer.
    """
    _go_version()
    return Path(json.loads(_go(HERE, "mod", "download", "-json", name))["Dir"])


def cache() -> Path:
    """Return the folder that keeps the programs between runs."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "provider-metrics-exporter" / "stack"


@contextmanager
def made_once(folder: Path) -> Iterator[Path | None]:
    """Give the path of a temporary folder in which to make another one, None when that exists.

    Only one process makes it; others wait.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    with folder.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if folder.exists():
            yield None
            return
        work = folder.with_suffix(".part")
        shutil.rmtree(work, ignore_errors=True)
        try:
            yield work
        finally:
            shutil.rmtree(work, ignore_errors=True)


def _cached(
    names: Sequence[str] | Mapping[str, str],
    recipe: str,
    build: Callable[[Path], None],
    report: Callable[[str], None],
) -> Mapping[str, Path]:
    """Run `build` in a folder of its own unless that was done before with the same recipe."""
    folder = cache() / f"{next(iter(names))}-{hashlib.sha256(recipe.encode()).hexdigest()[:12]}"
    with made_once(folder) as work:
        if work:
            begun = time.monotonic()
            report(f"building {', '.join(names)} (once) ...")
            (work / "bin").mkdir(parents=True)
            _reach_proxy(work)
            build(work)
            (work / "bin").rename(folder)
            report(f"built {', '.join(names)} in {time.monotonic() - begun:.0f} s")
    return {name: folder / name for name in names}


def _reach_proxy(work: Path) -> None:
    """Ask the module proxy for the smallest thing there is: whether a version exists."""
    try:
        _go(work, "mod", "download", "-json", f"{PROMETHEUS.module}@{PROMETHEUS.version}")
    except RuntimeError as error:
        raise NoToolchainError(
            "the Go module proxy does not answer: the real servers cannot be built"
        ) from error


def _recipe(server: Server) -> str:
    return f"{server} {_go_version()}"


def _collector_recipe() -> str:
    return f"{BUILDER} {MANIFEST.read_text(encoding='utf-8')} {_go_version()}"


def _build(server: Server, work: Path) -> None:
    if server.as_tool:
        _make_module(server, work)
    linking = "-ldflags=-s -w"
    if server.version_variable:
        linking += f" -X {server.version_variable}={server.version}"
    for name, package in server.programs.items():
        target = f"{server.module}/{package}".rstrip("/")
        version = "" if server.as_tool else f"@{server.version}"
        before = set((work / "bin").iterdir())
        _go(work, "install", f"-tags={server.tags}", linking, f"{target}{version}")
        (built,) = set((work / "bin").iterdir()) - before
        built.rename(work / "bin" / name)


def _make_module(server: Server, work: Path) -> None:
    """Make a module that needs the server as a tool, under the server's own replacements and exclusions."""
    downloaded = json.loads(_go(work, "mod", "download", "-json", f"{server.module}@{server.version}"))
    module = json.loads(_go(work, "mod", "edit", "-json", downloaded["GoMod"]))
    _go(work, "mod", "init", "stack.test/tool")
    edits = [f"-require={server.module}@{server.version}"]
    edits += [f"-tool={server.module}/{package}".rstrip("/") for package in server.programs.values()]
    edits += [f"-exclude={row['Path']}@{row['Version']}" for row in module["Exclude"] or ()]
    edits += [
        f"-replace={row['Old']['Path']}={replacement}"
        for row in module["Replace"] or ()
        if (replacement := _replacement(server, row))
    ]
    _go(work, "mod", "edit", *edits)
    _go(work, "mod", "tidy")


def _replacement(server: Server, row: Mapping[str, Mapping[str, str]]) -> str | None:
    """Return what a module is replaced by, None if that is another folder of the server's tree."""
    if "Version" in row["New"]:
        return f"{row['New']['Path']}@{row['New']['Version']}"
    if row["New"]["Path"].startswith(STAGING):
        return f"{row['Old']['Path']}@v0.{server.version.partition('.')[2]}"
    return None


def _build_collector(work: Path) -> None:
    _go(work, "install", BUILDER)
    manifest = work / "builder.yaml"
    manifest.write_text(
        MANIFEST.read_text(encoding="utf-8").replace("OUTPUT", str(work / "collector")), encoding="utf-8"
    )
    _run(work, str(work / "bin" / "builder"), f"--config={manifest}")
    (work / "collector" / "otelcol").rename(work / "bin" / "otelcol")


def _go_version() -> str:
    try:
        return _run(HERE, "go", "version")
    except FileNotFoundError as error:
        raise NoToolchainError("no Go on PATH: the real servers cannot be built") from error


def _go(work: Path, *arguments: str) -> str:
    return _run(work, "go", *arguments)


def _run(work: Path, *command: str) -> str:
    environment = {**os.environ, "GOBIN": str(work / "bin"), "GOFLAGS": "-mod=mod", "CGO_ENABLED": "0"}
    result = subprocess.run(
        command,
        cwd=work,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if result.returncode != 0:
        raise RuntimeError(f"{' '.join(command)} failed:\n{result.stderr[-4000:]}")
    return result.stdout
