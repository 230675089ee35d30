"""The page on Kubernetes and the chart's README: every block of them can be used."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import pytest
import yaml

from exporter.webconfig.config import read
from tests.certificates import Folder
from tests.stack.chart import CHART, HELMS, NAME, NAMESPACE, Helm, one, parsed, values
from tests.stack.cluster import Cluster
from tests.stack.servers import Programs, run
from tests.stack.substitution import ROOT
from tests.verify.docs.pages import blocks, code_blocks

PAGE = "docs/deployment/kubernetes.md"
README = CHART / "README.md"


def yaml_of(file: str) -> list[str]:
    """Return the blocks of the page that are this file."""
    return [code for code in code_blocks(PAGE, "yaml") if code.startswith(f"# {file}\n")]


def test_every_block_of_the_page_says_what_it_is() -> None:
    """No YAML on the page is left untried, but what another chart reads."""
    umbrella = ("umbrella/Chart.yaml", "umbrella/values.yaml")
    known = ("values.yaml", "web.yml", "prometheus.yml", "kube-prometheus-stack", *umbrella)

    assert len(code_blocks(PAGE, "yaml")) == sum(len(yaml_of(file)) for file in known)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where a reader runs the commands: the project, with the files that the page names."""
    (tmp_path / "deploy").symlink_to(ROOT / "deploy")
    files = {"values.yaml": yaml_of("values.yaml")[0], "web.yml": yaml_of("web.yml")[0]}
    for name, text in {**files, "admin-key": "key", "password": "sesame"}.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    return tmp_path


@pytest.mark.parametrize("program", HELMS)
@pytest.mark.parametrize("document", [ROOT / PAGE, README], ids=["page", "readme"])
def test_commands(programs: Programs, cluster: Cluster, folder: Path, document: Path, program: str) -> None:
    """Each command succeeds in turn, in a namespace of its own."""
    for name, path in {"helm": program, "kubectl": "kubectl"}.items():
        (folder / name).symlink_to(programs[path])
    lines = [line for block in blocks(document) if block.language == "sh" for line in block.lines()]
    namespace = f"page-{program}-{document.stem.lower()}"
    script = "\n".join(line for line in lines if not line.startswith("docker "))
    script = script.replace("namespace gateway", f"namespace {namespace}")
    # Helm 3 takes the version for `template` from its linker, which `build` does not tell it.
    script = script.replace("helm template", "helm template --kube-version=1.37")
    # A controller would empty the namespace.
    script = script.replace("delete namespace", "delete --wait=false namespace")
    environment = {
        "HOME": str(folder),
        "KUBECONFIG": str(cluster.kubeconfig),
        "PATH": f"{folder}:{os.environ['PATH']}",
    }
    with cluster.kubelet(namespace, lambda _: 0):
        code, output = run("bash", "-euxc", script, cwd=folder, env=environment, timeout=60)

    assert 0 == code, output


@pytest.mark.parametrize(
    "text", yaml_of("values.yaml")[1:], ids=lambda text: text.split(":")[0].split("\n")[1]
)
def test_values_of_the_page(
    helms: Mapping[str, Helm], cluster: Cluster, namespace: str, tmp_path: Path, text: str
) -> None:
    """Every part of values on the page can be given beside the first, and makes valid objects."""
    (tmp_path / "values.yaml").write_text(text, encoding="utf-8")
    options = (values("minimal"), f"--values={tmp_path}/values.yaml", f"--namespace={namespace}")
    objects = parsed(helms["helm"].template("--skip-tests", *options))

    assert [] == cluster.apply(objects, namespace, dry_run=True)


def test_umbrella_of_the_page(
    helms: Mapping[str, Helm], cluster: Cluster, namespace: str, folder: Path
) -> None:
    """The umbrella chart on the page can be built, and makes valid objects."""
    umbrella = folder / "umbrella"
    umbrella.mkdir()
    for name in ("Chart.yaml", "values.yaml"):
        (text,) = yaml_of(f"umbrella/{name}")
        (umbrella / name).write_text(text, encoding="utf-8")
    code, _, errors = helms["helm"].run("dependency", "build", str(umbrella))
    objects = parsed(helms["helm"].template("--skip-tests", f"--namespace={namespace}", chart=umbrella))

    assert 0 == code, errors
    assert NAME == one(objects, "Deployment")["metadata"]["name"]
    assert [] == cluster.apply(objects, namespace, dry_run=True)


def test_web_config_of_the_page(tmp_path: Path) -> None:
    """The web configuration file on the page can be used, with certificates where it looks for them."""
    folder = Folder(tmp_path)
    folder.replace("tls.crt", (tmp_path / "server.crt").read_bytes())
    folder.replace("tls.key", (tmp_path / "server.key").read_bytes())
    (text,) = yaml_of("web.yml")
    folder.file.write_text(text.replace("/run/secrets/certificate", str(tmp_path)), encoding="utf-8")

    assert () == read(folder.file).problems


def test_scrape_config_of_the_page(programs: Programs, tmp_path: Path) -> None:
    """Prometheus takes the job, which has the name that the rules look for, and its target is the Service."""
    (text,) = yaml_of("prometheus.yml")
    (tmp_path / "prometheus.yml").write_text(text, encoding="utf-8")
    code, output = run(programs["promtool"], "check", "config", tmp_path / "prometheus.yml")
    (job,) = yaml.safe_load(text)["scrape_configs"]

    assert 0 == code, output
    assert "provider_metrics" == job["job_name"]
    assert [{"targets": [f"{NAME}.{NAMESPACE}:8001"]}] == job["static_configs"]
