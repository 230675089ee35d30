"""The page on Kubernetes and the chart's README: every block of them can be used."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
import yaml

from exporter.webconfig.config import read
from tests.certificates import Folder
from tests.stack.chart import CHART, NAME, NAMESPACE, Helm, validate, values
from tests.stack.servers import Programs, run
from tests.stack.substitution import ROOT
from tests.verify.docs.pages import blocks, code_blocks

PAGE = "docs/deployment/kubernetes.md"
README = CHART / "README.md"
NOT_RUN = ("docker ", "kubectl ", "helm rollback ", "helm uninstall ")
"""Commands that need a registry or a cluster."""


def yaml_of(file: str) -> list[str]:
    """Return the blocks of the page that are this file."""
    return [code for code in code_blocks(PAGE, "yaml") if code.startswith(f"# {file}\n")]


def test_every_block_of_the_page_says_what_it_is() -> None:
    """No YAML on the page is left untried, but what another chart reads."""
    known = ("values.yaml", "web.yml", "prometheus.yml", "kube-prometheus-stack")

    assert len(code_blocks(PAGE, "yaml")) == sum(len(yaml_of(file)) for file in known)


@pytest.mark.parametrize(
    ("document", "verbs"),
    [(ROOT / PAGE, ["install", "upgrade"]), (README, ["install"])],
    ids=["page", "readme"],
)
def test_commands(
    helms: Mapping[str, Helm], programs: Programs, tmp_path: Path, document: Path, verbs: list[str]
) -> None:
    """What is installed, with the first values that the page gives, can be rendered and is valid."""
    (tmp_path / "values.yaml").write_text(yaml_of("values.yaml")[0], encoding="utf-8")
    lines = [line for block in blocks(document) if block.language == "sh" for line in block.lines()]
    commands = [line.split() for line in lines if not line.startswith(NOT_RUN)]
    assert [["helm", verb] for verb in verbs] == [command[:2] for command in commands]
    for _, _, *arguments in commands:
        options = [argument.replace("values.yaml", f"{tmp_path}/values.yaml") for argument in arguments]
        code, output, errors = helms["helm"].run("template", *options)
        verdict, problems = validate(programs, tmp_path, output)

        assert (0, "") == (code, errors)
        assert 0 == verdict, problems


@pytest.mark.parametrize(
    "text", yaml_of("values.yaml")[1:], ids=lambda text: text.split(":")[0].split("\n")[1]
)
def test_values_of_the_page(helms: Mapping[str, Helm], programs: Programs, tmp_path: Path, text: str) -> None:
    """Every part of values on the page can be given beside the first, and makes valid objects."""
    (tmp_path / "values.yaml").write_text(text, encoding="utf-8")
    text = helms["helm"].template(values("minimal"), f"--values={tmp_path}/values.yaml")
    code, output = validate(programs, tmp_path, text)

    assert 0 == code, output


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
