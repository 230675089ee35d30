"""Names that do not resolve and addresses without a route, in a namespace that no packet leaves."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.faults.matrix import Matrix, Row
from tests.faults.namespace import CASES
from tests.namespaces import UNSHARE, require_namespaces
from tests.process import environment

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("name", CASES)
def test_case(name: str, matrix: Matrix) -> None:
    """Each case has the result of the table."""
    require_namespaces()
    command = [*UNSHARE, sys.executable, "-m", "tests.faults.namespace", name]
    done = subprocess.run(command, cwd=ROOT, env=environment(), capture_output=True, text=True, timeout=180)

    assert 0 == done.returncode, done.stderr
    matrix(Row(*json.loads(done.stdout)))
