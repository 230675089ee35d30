"""What the program depends on closely is bounded to the minor version of the tests, and to none before it."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

ROOT = Path(__file__).parents[2]
CLOSE = ("opentelemetry-", "prometheus-client", "uvicorn")
"""How the names begin of the packages that are used beyond their stable API."""
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
BOUNDED = [
    requirement
    for requirement in map(Requirement, PROJECT["dependencies"])
    if requirement.name.startswith(CLOSE)
]
PINS = dict(
    re.findall(r"^([\w.-]+)==(\S+)", (ROOT / "requirements" / "run.txt").read_text("utf-8"), re.MULTILINE)
)


@pytest.mark.parametrize("requirement", BOUNDED, ids=lambda requirement: requirement.name)
def test_minor_version_is_bounded(requirement: Requirement) -> None:
    """A resolver takes the version that is pinned, none before it, and none of the next minor version."""
    pinned = Version(PINS[requirement.name])
    after = f"{pinned.major}.{pinned.minor + 1}"

    assert requirement.specifier.contains(pinned)
    assert pinned == min(Version(clause.version) for clause in requirement.specifier)
    assert [] == list(requirement.specifier.filter([f"{after}.0", f"{after}b0"], prereleases=True))


def test_close_packages_are_found() -> None:
    """Each beginning of a name finds a dependency: a mistake in it would bound nothing."""
    assert set(CLOSE) == {
        start for start in CLOSE for requirement in BOUNDED if requirement.name.startswith(start)
    }
