"""Tests of `.ci/sbom.py`."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from exporter import SERVICE_NAME, __version__

ROOT = Path(__file__).parents[2]
PIN = re.compile(r"^([\w.-]+)==(\S+)(.*?)(?=^\S|\Z)", re.MULTILINE | re.DOTALL)


def write(target: Path) -> str:
    """Return the output of `make sbom`."""
    command, env = [sys.executable, ".ci/sbom.py", str(target)], {**os.environ, "PYTHONPATH": "."}
    result = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True)
    assert (0, "", "") == (result.returncode, result.stdout, result.stderr)
    return target.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The document."""
    return write(tmp_path_factory.mktemp("sbom") / "new" / "sbom.cdx.json")


@pytest.fixture(scope="module")
def document(text: str) -> dict[str, Any]:
    """The document, parsed."""
    parsed: dict[str, Any] = json.loads(text)
    return parsed


def test_is_valid(text: str, document: dict[str, Any]) -> None:
    """The document is valid by the schema of CycloneDX 1.6."""
    validator = JsonStrictValidator(SchemaVersion.V1_6)
    nameless = {**document, "components": [{"type": "library"}]}

    assert ("CycloneDX", "1.6") == (document["bomFormat"], document["specVersion"])
    assert None is validator.validate_str(text)
    assert None is not validator.validate_str(json.dumps(nameless))


def test_has_every_pin(document: dict[str, Any]) -> None:
    """The packages are those of requirements/run.txt, with versions, hashes and URLs."""
    pins = PIN.findall((ROOT / "requirements" / "run.txt").read_text(encoding="utf-8"))
    pinned = {
        f"pkg:pypi/{name}@{version}": (name, version, set(re.findall(r"sha256:(\w+)", rest)))
        for name, version, rest in pins
    }
    listed = {}
    for one in document["components"]:
        digests = [digest for reference in one["externalReferences"] for digest in reference["hashes"]]
        listed[one["purl"]] = one["name"], one["version"], {digest["content"] for digest in digests}

    assert len(pinned) > 30
    assert pinned == listed


def test_main_component(document: dict[str, Any]) -> None:
    """The main component has name, version and direct dependencies."""
    component = document["metadata"]["component"]
    by_ref = {package["bom-ref"]: package["name"] for package in document["components"]}
    (row,) = [row for row in document["dependencies"] if row["ref"] == component["bom-ref"]]

    found = tuple(component[name] for name in ("name", "version", "type"))
    assert (SERVICE_NAME, __version__, "application") == found
    names = {by_ref[ref] for ref in row["dependsOn"]}
    assert {"requests", "opentelemetry-sdk", "starlette"} < names < set(by_ref.values())


def test_is_the_same_again(text: str, tmp_path: Path) -> None:
    """The output is reproducible byte for byte."""
    assert text == write(tmp_path / "sbom.cdx.json")
