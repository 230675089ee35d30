"""systemd itself finds no fault in the unit, and little exposure."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

from exporter import SERVICE_NAME
from tests.stack.servers import run
from tests.stack.substitution import ROOT

pytestmark = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="no systemd-analyze on PATH: the unit is not verified"
)

UNIT = ROOT / "deploy" / "systemd" / f"{SERVICE_NAME}.service"
EXECUTABLE = f"/opt/{SERVICE_NAME}/bin/{SERVICE_NAME}"
MOST_EXPOSURE = 1.5
"""Of 10; a service without any hardening has 9.6."""


@pytest.fixture
def unit(tmp_path: Path) -> Path:
    """The unit with a program that is there."""
    text = UNIT.read_text(encoding="utf-8")
    assert 1 == text.count(f"ExecStart={EXECUTABLE}\n")
    path = tmp_path / UNIT.name
    path.write_text(text.replace(EXECUTABLE, sys.executable), encoding="utf-8")
    return path


def test_unit_has_no_fault(unit: Path) -> None:
    """Systemd knows every setting of the unit and has nothing to say."""
    assert (0, "") == run("systemd-analyze", "verify", unit)


def test_exposure(unit: Path) -> None:
    """Little is left of what the service might do to the system."""
    threshold = f"--threshold={MOST_EXPOSURE * 10:.0f}"
    code, output = run("systemd-analyze", "security", "--offline=true", threshold, unit)

    assert 0 == code, output
