"""Writes an SBOM of the pinned packages as CycloneDX 1.6: `make sbom`.

`cyclonedx-py` lists the packages with their hashes. Version and direct dependencies of the
exporter are added here.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from exporter import __version__

ROOT = Path(__file__).parent.parent
PACKAGES = ("requirements", "requirements/run.txt", "--pyproject=pyproject.toml", "--spec-version=1.6")
OPTIONS = ("--output-format=JSON", "--output-reproducible")


def main(target: Path) -> int:
    """Write the document if it is valid, and return the exit code."""
    text = json.dumps(completed(listed()), indent=2) + "\n"
    problem = JsonStrictValidator(SchemaVersion.V1_6).validate_str(text)
    if problem is not None:
        print(f"Not a valid document of CycloneDX 1.6: {problem}", file=sys.stderr)
        return 1
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(text, encoding="utf-8")
    return 0


def listed() -> dict[str, Any]:
    """Return the output of `cyclonedx-py`."""
    # It warns that the main component has no dependencies; `completed` adds them.
    command = (sys.executable, "-W", "ignore", "-m", "cyclonedx_py", *PACKAGES, *OPTIONS)
    document: dict[str, Any] = json.loads(subprocess.check_output(command, cwd=ROOT, text=True))
    return document


def completed(document: dict[str, Any]) -> dict[str, Any]:
    """Add version and dependencies of the main component."""
    main_component = document["metadata"]["component"]
    main_component["version"] = __version__
    by_name = {component["name"]: component["bom-ref"] for component in document["components"]}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    names = [re.split(r"[^\w.-]", dependency)[0] for dependency in project["dependencies"]]
    for row in document["dependencies"]:
        if row["ref"] == main_component["bom-ref"]:
            row["dependsOn"] = [by_name[name] for name in names]
    return document


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
