"""Names that do not resolve and addresses without a route, in a namespace that no packet leaves."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults.matrix import Row
from tests.faults.namespace import CASES
from tests.process import environment

ROOT = Path(__file__).parent.parent.parent
UNSHARE = ("unshare", "--net", "--mount", "--")


@pytest.fixture(scope="module")
def namespace() -> None:
    """Skip where there are no namespaces; where CI runs, they have to be there."""
    try:
        subprocess.run(
            [*UNSHARE, "ip", "link", "set", "lo", "up"], check=True, capture_output=True, timeout=60
        )
    except (OSError, subprocess.CalledProcessError) as error:
        reason = f"needs root, and the commands unshare and ip, for a network namespace: {error}"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)


@pytest.mark.usefixtures("namespace")
@pytest.mark.parametrize("name", CASES)
def test_case(name: str, matrix: Callable[[Row], None]) -> None:
    """A case comes to what the table says."""
    done = subprocess.run(
        [*UNSHARE, sys.executable, "-m", "tests.faults.namespace", name],
        cwd=ROOT,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )

    assert 0 == done.returncode, done.stderr
    matrix(Row(*json.loads(done.stdout)))
