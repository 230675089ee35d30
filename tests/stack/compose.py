"""What the compose program makes of the project's files."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.stack.substitution import ROOT

Tree = Mapping[str, Any]

OWN_VALUES = {
    "GATEWAY_API_URL": "https://api.example.com",
    "ADMIN_KEY": "own-key",
    "GRAFANA_ADMIN_PASSWORD": "own-password",
}
"""The required variables."""


class Compose:
    """`docker compose config` in the project, with nothing of this process' environment but PATH."""

    def __init__(self, program: Path, folder: Path, *files: str) -> None:
        """Remember the program, the folder for files of variables, and the files if not the default ones."""
        self._command = [str(program), *(f"--file={file}" for file in files)]
        self._folder = folder

    def run(
        self, variables: Path | Mapping[str, str], *profiles: str, option: str = "--format=json"
    ) -> subprocess.CompletedProcess[str]:
        """Run it with a file of variables, or with variables."""
        if not isinstance(variables, Path):
            text = "".join(f"{name}={value}\n" for name, value in variables.items())
            variables = self._folder / "variables.env"
            variables.write_text(text, encoding="utf-8")
        options = [f"--env-file={variables}", *(f"--profile={profile}" for profile in profiles)]
        return subprocess.run(
            [*self._command, *options, "config", option],
            cwd=ROOT,
            env={"PATH": os.environ["PATH"]},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def project(self, variables: Path | Mapping[str, str], *profiles: str) -> Tree:
        """Return the whole project, about which the program has no complaint."""
        result = self.run(variables, *profiles)
        assert (0, "") == (result.returncode, result.stderr)
        project: Tree = json.loads(result.stdout)
        return project

    def services(self, variables: Path | Mapping[str, str], *profiles: str) -> Tree:
        """Return the services by name, without variables that are passed on but not set."""
        services: dict[str, Any] = self.project(variables, *profiles)["services"]
        for service in services.values():
            if "environment" in service:
                given = service["environment"].items()
                service["environment"] = {name: value for name, value in given if value is not None}
        return services

    def complaint(self, variables: Mapping[str, str]) -> str:
        """Return what the program writes when it refuses variables."""
        result = self.run(variables)
        assert (1, "") == (result.returncode, result.stdout)
        return result.stderr
