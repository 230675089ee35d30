"""Linux namespaces for tests that need a network of their own."""

from __future__ import annotations

import os
import subprocess

import pytest

UNSHARE = ("unshare", "--net", "--mount", "--")


def require_namespaces() -> None:
    """Skip the test where the process cannot create namespaces; fail in CI."""
    command = [*UNSHARE, "ip", "link", "set", "lo", "up"]
    try:
        subprocess.run(command, check=True, capture_output=True, timeout=60)
    except (OSError, subprocess.CalledProcessError) as error:
        reason = f"needs root, and the commands unshare and ip, for namespaces: {error}"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
