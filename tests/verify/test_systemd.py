"""The unit of systemd: its key is a credential, its exit codes are the program's, which can live with it."""

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
"""Does in the program's process what MemoryDenyWriteExecute= does, and sees that it holds."""


def settings() -> list[tuple[str, str]]:
    """Return names and values of the unit's service, in order."""
    service = UNIT.read_text(encoding="utf-8").split("[Service]\n")[1].split("\n[")[0]
    return re.findall(r"^(\w+)=(.*)$", service, re.MULTILINE)


def test_key_is_a_credential() -> None:
    """The key comes as a credential, by the variable for its file, and the settings file has no key."""
    service = dict(settings())
    name, _, source = service["LoadCredential"].partition(":")

    assert f"ADMIN_KEY_FILE=%d/{name}" == service["Environment"]
    assert Path(source).parent == Path(service["EnvironmentFile"]).parent
    example = (FOLDER / "environment.example").read_text(encoding="utf-8")
    variables = re.findall(r"^(\w+)=(.*)$", example, re.MULTILINE)
    known = {variable.name for variable in VARIABLES} | {"OTEL_EXPORTER_OTLP_ENDPOINT"}
    assert {name for name, _ in variables} <= known - {"ADMIN_KEY", "ADMIN_KEY_FILE"}
    assert {""} == {value for _, value in variables}


def test_reload_is_the_signal_of_the_exporter() -> None:
    """`systemctl reload` sends the signal on which files are read again."""
    assert "/bin/kill -HUP $MAINPID" == dict(settings())["ExecReload"]


def test_wrong_settings_are_not_tried_again() -> None:
    """The exit code for wrong settings, and it alone, keeps the service down."""
    assert str(EXIT_SETTINGS) == dict(settings())["RestartPreventExitStatus"]
    assert "on-failure" == dict(settings())["Restart"]


@pytest.mark.skipif(
    tuple(map(int, re.findall(r"\d+", platform.release())[:2])) < (6, 3),
    reason="the kernel is older than 6.3: it cannot deny such memory by itself",
)
def test_no_memory_to_write_and_execute(tmp_path: Path) -> None:
    """The exporter works without such memory, with gRPC too, and with its key in a file for it alone."""
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
