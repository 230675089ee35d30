"""Dependencies that are used beyond their stable API are bounded to the minor version of the tests."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

ROOT = Path(__file__).parents[2]
CLOSE = ("opentelemetry-", "prometheus-client", "uvicorn")
"""Beginnings of the names of these packages."""
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
BOUNDED = [one for one in map(Requirement, PROJECT["dependencies"]) if one.name.startswith(CLOSE)]
LOCKS = {
    path.stem: dict(re.findall(r"^([\w.-]+)==(\S+)", path.read_text(encoding="utf-8"), re.MULTILINE))
    for path in sorted((ROOT / "requirements").iterdir())
}
"""Pinned versions by name, for each file."""
PINS = LOCKS["run"]


@pytest.mark.parametrize("requirement", BOUNDED, ids=lambda requirement: requirement.name)
def test_minor_version_is_bounded(requirement: Requirement) -> None:
    """A resolver may select the pinned version, but none before it and none of the next minor version."""
    pinned = Version(PINS[requirement.name])
    after = f"{pinned.major}.{pinned.minor + 1}"

    assert requirement.specifier.contains(pinned)
    assert pinned == min(Version(clause.version) for clause in requirement.specifier)
    assert [] == list(requirement.specifier.filter([f"{after}.0", f"{after}b0"], prereleases=True))


def test_close_packages_are_found() -> None:
    """Each beginning of a name matches a dependency."""
    assert set(CLOSE) == {start for start in CLOSE for one in BOUNDED if one.name.startswith(start)}


def test_pins_agree() -> None:
    """A package has the same version in all files: they are installed into one environment."""
    versions: dict[str, set[str]] = {}
    for pins in LOCKS.values():
        for name, version in pins.items():
            versions.setdefault(name, set()).add(version)

    assert {} == {name: found for name, found in versions.items() if len(found) > 1}
    assert {"browser", "dev", "go", "run", "test"} == set(LOCKS)
