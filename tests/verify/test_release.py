"""Tests of the version in all files, and of the form of the changelog."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from datetime import date
from fnmatch import fnmatch
from pathlib import Path

import pytest
from packaging.version import Version

from exporter import __version__

ROOT = Path(__file__).parents[2]
CHANGELOG = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
CHART = "deploy/helm/provider-metrics-exporter/Chart.yaml"
FILES = {"exporter/__init__.py", "Dockerfile", "docker-compose.yml", CHART, "docs/deployment/kubernetes.md"}
"""Files that contain the version, because their readers cannot import it."""
NOT_OURS = ("requirements/", "CHANGELOG.md", "docs/doctor.md", "tests/golden/")
"""Files that may contain the same number for another reason."""
IGNORED = (".git", *(line.rstrip("/") for line in (ROOT / ".gitignore").read_text("utf-8").splitlines()))
KINDS = {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}


def files() -> Iterator[str]:
    """Yield the paths of the files of the tree, without those that .gitignore names."""
    for folder, folders, names in os.walk(ROOT):
        base = Path(folder).relative_to(ROOT)
        folders[:] = [name for name in folders if not is_ignored(base / name)]
        yield from ((base / name).as_posix() for name in names if not is_ignored(base / name))


def is_ignored(path: Path) -> bool:
    """Return whether git ignores a path; a pattern with a leading slash is a path, others are names."""
    return any(
        fnmatch(f"/{path.as_posix()}" if pattern.startswith("/") else path.name, pattern)
        for pattern in IGNORED
    )


def test_version() -> None:
    """Exactly the known files contain the version (see docs/releasing.md)."""
    number = re.compile(rf"(?<![0-9.]){re.escape(__version__)}(?![0-9.])".encode())
    ours = (name for name in files() if not name.startswith(NOT_OURS))

    assert FILES == {name for name in ours if number.search((ROOT / name).read_bytes())}
    # Semantic Versioning.
    assert re.fullmatch(r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)", __version__)


def sections(text: str, level: int) -> list[tuple[str, str]]:
    """Return the headings of a level with their texts."""
    parts = re.split(rf"^{'#' * level} (.+)$", text, flags=re.MULTILINE)
    return list(zip(parts[1::2], parts[2::2], strict=True))


def test_changelog_has_its_releases_in_order() -> None:
    """Unreleased changes come first, then dated releases, newest first, none newer than the version."""
    (unreleased, _), *releases = sections(CHANGELOG, 2)
    found = [re.fullmatch(r"\[(\d+\.\d+\.\d+)\] - (\d{4}-\d{2}-\d{2})", heading) for heading, _ in releases]
    versions = [Version(match[1]) for match in found if match]

    assert ("[Unreleased]", len(releases)) == (unreleased, len(versions))
    assert sorted(set(versions), reverse=True) == versions
    assert [] == [version for version in versions if version > Version(__version__)]
    dates = [date.fromisoformat(match[2]) for match in found if match]
    assert sorted(dates, reverse=True) == dates


@pytest.mark.parametrize(("heading", "text"), sections(CHANGELOG, 2), ids=lambda text: text[:12])
def test_changelog_has_its_kinds(heading: str, text: str) -> None:
    """Each release lists its changes by kind, without empty or repeated kinds."""
    kinds = [kind for kind, _ in sections(text, 3)]

    assert len(set(kinds)) == len(kinds)
    assert set(kinds) <= KINDS
    assert [] == [kind for kind, changes in sections(text, 3) if not changes.strip().startswith("- ")]
    assert kinds or heading == "[Unreleased]"
