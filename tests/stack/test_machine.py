"""What `make stack` takes from the machine, and what it leaves out without it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.stack.machine import Found, bin_folder, described, find, find_all
from tests.stack.substitution import ROOT

LOKI = "#!/bin/sh\necho 'loki, version 3.7.1 (branch: x, revision: y)'\n"


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A machine with a PATH and a cache folder of its own, both empty; return the folder in PATH."""
    path = tmp_path / "path"
    path.mkdir()
    monkeypatch.setenv("PATH", str(path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return path


def put(folder: Path, name: str, text: str = LOKI) -> Path:
    """Write a program into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    program = folder / name
    program.write_text(text, encoding="utf-8")
    program.chmod(0o755)
    return program


def test_nothing_is_found(bare: Path) -> None:
    """A line for each program says that it was not found."""
    assert {} == find_all()
    assert ["loki: not found", "tempo: not found", "grafana: not found"] == described({})[:3]


def test_bin_of_the_cache(bare: Path) -> None:
    """A program in `bin/` of the cache folder is found, with the version that it states."""
    program = put(bin_folder(), "loki")

    found = find("loki")

    assert Found(program, "3.7.1") == found
    assert f"loki: found 3.7.1, {program}" == described({"loki": found})[0]


def test_path_comes_first(bare: Path) -> None:
    """A program on PATH is preferred to that of the cache folder."""
    put(bin_folder(), "loki")
    program = put(bare, "loki", LOKI.replace("3.7.1", "3.7.2"))

    assert Found(program, "3.7.2") == find("loki")


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("#!/bin/sh\necho whatever\n", "an unknown version"),
        ("#!/nowhere/sh\n", "a program that does not start (No such file or directory)"),
    ],
)
def test_version_that_cannot_be_had(bare: Path, text: str, version: str) -> None:
    """A program that states no version, or does not start, is found all the same: its tests will fail."""
    program = put(bare, "loki", text)

    assert Found(program, version) == find("loki")


def test_left_out_by_name(bare: Path) -> None:
    """Without Loki its tests are skipped, and the output ends with their names."""
    options = ("-q", "-rs", "-p", "no:cacheprovider", "-m", "stack", "-k", "object_storage")
    result = subprocess.run(
        [sys.executable, "-m", "pytest", *options, "tests/stack/test_scale_out.py"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )

    name = "tests/stack/test_scale_out.py::test_loki_keeps_its_data_in_object_storage"
    assert 0 == result.returncode, result.stdout + result.stderr
    assert "loki: not found" in result.stderr.splitlines()
    _, _, end = result.stdout.partition("left out: no loki on this machine")
    assert name in end.splitlines()
    assert "no loki on this machine" in end.partition("short test summary info")[2]
