"""The systemd unit: credentials, signals, exit codes, and memory protection."""

from __future__ import annotations

import platform
import re
from pathlib import Path

import pytest
import requests

from exporter import SERVICE_NAME
from exporter.cli import EXIT_SETTINGS
from exporter.config.settings import VARIABLES
from tests.process import program
from tests.replay import ReplayGateway

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "deploy" / "systemd"
UNIT = FOLDER / f"{SERVICE_NAME}.service"

DENY_WRITE_AND_EXECUTE = """
import ctypes, mmap

PR_SET_MDWE, PR_MDWE_REFUSE_EXEC_GAIN = 65, 1
assert 0 == ctypes.CDLL(None).prctl(PR_SET_MDWE, PR_MDWE_REFUSE_EXEC_GAIN, 0, 0, 0)
try:
    mmap.mmap(-1, mmap.PAGESIZE, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
except PermissionError:
    print("denied", flush=True)
"""
"""Does in the program's process what MemoryDenyWriteExecute= does, and checks the effect."""


def assignments(text: str) -> dict[str, str]:
    """Return the values of NAME=value lines."""
    return dict(re.findall(r"^(\w+)=(.*)$", text, re.MULTILINE))


SERVICE = assignments(UNIT.read_text(encoding="utf-8").split("[Service]\n")[1].split("\n[")[0])


def test_key_is_a_credential() -> None:
    """The key is a credential, passed by the variable for its file; the settings file has no key."""
    name, _, source = SERVICE["LoadCredential"].partition(":")
    variables = assignments((FOLDER / "environment.example").read_text(encoding="utf-8"))
    known = {variable.name for variable in VARIABLES} | {"OTEL_EXPORTER_OTLP_ENDPOINT"}

    assert f"ADMIN_KEY_FILE=%d/{name}" == SERVICE["Environment"]
    assert Path(source).parent == Path(SERVICE["EnvironmentFile"]).parent
    assert set(variables) <= known - {"ADMIN_KEY", "ADMIN_KEY_FILE"}
    assert {""} == set(variables.values())


def test_reload_and_restart() -> None:
    """A reload sends the signal of the exporter, also to one that starts; only invalid settings stop it."""
    assert "/bin/kill -HUP $MAINPID" == SERVICE["ExecReload"]
    assert str(EXIT_SETTINGS) == SERVICE["RestartPreventExitStatus"]
    assert "on-failure" == SERVICE["Restart"]
    assert "SIGHUP" == SERVICE["RestartForceExitStatus"]


@pytest.mark.skipif(
    tuple(map(int, re.findall(r"\d+", platform.release())[:2])) < (6, 3),
    reason="needs Linux 6.3 for this memory protection",
)
def test_no_memory_to_write_and_execute(tmp_path: Path) -> None:
    """The exporter works without writable and executable memory, with gRPC and its key in a file."""
    key = tmp_path / "admin_key"
    key.write_text("test-admin-key", encoding="utf-8")
    key.chmod(0o400)
    variables = {
        "ADMIN_KEY_FILE": str(key),
        "METRICS_HOST": "127.0.0.1",
        "METRICS_PORT": "0",
        "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9",
        "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc",
    }

    with (
        ReplayGateway() as gateway,
        program(code=DENY_WRITE_AND_EXECUTE, GATEWAY_API_URL=gateway.url, **variables) as running,
    ):
        address = running.url()
        running.record("Updated provider metrics")
        answer = requests.get(f"{address}/metrics", timeout=5)

    assert "denied\n" == running.output[0]
    assert "\ngatewayz_up 1.0\n" in answer.text
    assert "\nprocess_resident_memory_bytes " in answer.text
