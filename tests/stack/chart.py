"""The Helm chart as the real helm renders it, and the validation of the oldest Kubernetes."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from exporter import SERVICE_NAME
from tests.stack import servers
from tests.stack.build import OPERATOR, module
from tests.stack.servers import Programs
from tests.stack.substitution import ROOT

CHART = ROOT / "deploy/helm" / SERVICE_NAME
NAME = f"exporter-{SERVICE_NAME}"
NAMESPACE = "gateway"
OLDEST_KUBERNETES = "1.27"
"""The oldest version that the chart takes."""
HELMS = ("helm", "helm3")
EXAMPLES = ("minimal", "full", "client-certificates", "openshift")
"""The values in ci/: what must be set, everything, and what excludes some of it."""

Tree = Mapping[str, Any]


class Helm:
    """One helm, without the settings of the person who runs the tests."""

    def __init__(self, program: Path, home: Path, kubeconfig: Path | str = os.devnull) -> None:
        """Remember where it is, where it may write, and the file by which it finds a cluster."""
        self._program = program
        self._environment = {"HOME": str(home), "PATH": os.environ["PATH"], "KUBECONFIG": str(kubeconfig)}

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
        code, output, errors = self._template(chart, *options)
        assert (0, "") == (code, errors)
        return output

    def refusal(self, *options: str, chart: Path = CHART) -> str:
        """Return why it does not render."""
        code, _, errors = self._template(chart, *options)
        assert 0 != code
        return errors

    def notes(self, *options: str) -> str:
        """Return the notes after an installation."""
        code, output, errors = self.run("install", "exporter", str(CHART), "--dry-run=client", *options)
        assert 0 == code, errors
        return output.partition("\nNOTES:\n")[2]

    def _template(self, chart: Path, *options: str) -> tuple[int, str, str]:
        fixed = (f"--namespace={NAMESPACE}", "--kube-version=1.30")
        return self.run("template", "exporter", str(chart), *fixed, *options)


class Rendered:
    """The objects that a chart becomes."""

    def __init__(self, helm: Helm) -> None:
        """Remember the helm."""
        self._helm = helm

    def __call__(self, example: str, *options: str) -> list[Tree]:
        """Return the objects of an example, changed by options."""
        return parsed(self._helm.template(values(example), *options))


def parsed(text: str) -> list[Tree]:
    """Return the objects of a YAML text."""
    return [document for document in yaml.safe_load_all(text) if document]


def values(example: str) -> str:
    """Return the option that names an example."""
    return f"--values={CHART}/ci/{example}-values.yaml"


def of_kind(objects: Sequence[Tree], kind: str) -> list[Tree]:
    """Return the objects of a kind."""
    return [document for document in objects if document["kind"] == kind]


def one(objects: Sequence[Tree], kind: str) -> Tree:
    """Return the only object of a kind."""
    (found,) = of_kind(objects, kind)
    return found


def validate(programs: Programs, folder: Path, text: str) -> tuple[int, str]:
    """Return exit code and output of the validation, with the operator's definitions."""
    file = folder / "objects.yaml"
    file.write_text(text, encoding="utf-8")
    definitions = module(OPERATOR) / "example/prometheus-operator-crd"
    options = (f"--version={OLDEST_KUBERNETES}", f"--local-crds={definitions}")
    # No cluster of the person who runs the tests.
    environment = {"HOME": str(folder), "KUBECONFIG": os.devnull}
    return servers.run(programs["kubectl-validate"], *options, file, env=environment)
