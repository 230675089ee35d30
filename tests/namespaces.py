"""What only root has: namespaces, for tests that need a network of their own, and the rights of others."""

from __future__ import annotations

import os
import subprocess
from typing import NoReturn

import pytest

UNSHARE = ("unshare", "--net", "--mount", "--")


def require_root() -> None:
    """Skip the test where the process is not root's; fail in CI."""
    if os.geteuid() != 0:
        leave_out("needs root")


def require_namespaces() -> None:
    """Skip the test where the process cannot create namespaces; fail in CI."""
    command = [*UNSHARE, "ip", "link", "set", "lo", "up"]
    try:
        subprocess.run(command, check=True, capture_output=True, timeout=60)
    except (OSError, subprocess.CalledProcessError) as error:
        leave_out(f"needs root, and the commands unshare and ip, for namespaces: {error}")


def leave_out(reason: str) -> NoReturn:
    """Skip the test; fail in CI."""
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)
