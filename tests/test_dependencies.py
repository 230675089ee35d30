"""What the program depends on closely is bounded to the minor version that the tests run with."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

ROOT = Path(__file__).parent.parent
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
    """A resolver takes the version that is pinned, and none of the minor version before or after it."""
    pinned = Version(PINS[requirement.name])
    before, after = (f"{pinned.major}.{pinned.minor + step}" for step in (-1, 1))
    neighbours = [f"{before}.99", f"{before}b9", f"{after}.0", f"{after}b0"]

    assert requirement.specifier.contains(pinned)
    assert [] == list(requirement.specifier.filter(neighbours, prereleases=True))


def test_close_packages_are_found() -> None:
    """Each beginning of a name finds a dependency: a mistake in it would bound nothing."""
    assert set(CLOSE) == {
        start for start in CLOSE for requirement in BOUNDED if requirement.name.startswith(start)
    }
