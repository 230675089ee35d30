"""Modules that only some commands or settings need are imported with them: imports take time and memory."""

from __future__ import annotations

import subprocess
import sys

import pytest

UNSET = {"WEB_CONFIG_FILE": " ", "CUSTOM_METRICS_FILE": ""}
VARIABLES = {"GATEWAY_API_URL": "http://localhost", "ADMIN_KEY": "k", **UNSET}
LOAD = f"exporter.configuration; exporter.configuration.load_configuration({VARIABLES})"


@pytest.mark.parametrize(
    ("code", "pattern"),
    [
        ("exporter.app", "grpc"),
        ("exporter.cli, exporter.app", r"exporter\.check|exporter\.doctor\.(?!targets$)"),
        ("exporter.web.page.pages as pages; pages.StatusPage(60)", "jinja2"),
        (LOAD, "yaml|bcrypt|jmespath"),
    ],
    ids=["gRPC", "commands", "template engine", "files"],
)
def test_imports(code: str, pattern: str) -> None:
    """The program starts without gRPC, other commands, the template engine, and libraries of unset files."""
    code = f"import re, sys, {code}; print(*filter(re.compile({pattern!r}).match, sys.modules))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert "\n" == result.stdout
