"""Tests of `.ci/dotenv.py` and `make run`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / ".ci/dotenv.py"
PRINT = "import json, os; print(json.dumps({k: v for k, v in os.environ.items() if k.startswith('T_')}))"


def run(command: Sequence[str], folder: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a command in a folder."""
    env = {"PATH": os.environ["PATH"], **variables}
    return subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, timeout=60)


def start(folder: Path, text: str | bytes | None, **variables: str) -> subprocess.CompletedProcess[str]:
    """Start a program that prints the variables with the prefix T_."""
    if text is not None:
        (folder / ".env").write_bytes(text if isinstance(text, bytes) else text.encode())
    return run([sys.executable, str(SCRIPT), sys.executable, "-c", PRINT], folder, **variables)


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("T_A=plain", "plain"),
        ("T_A=two words", "two words"),
        ("  export T_A = a ", "a"),
        ("T_A=a#b # a comment", "a#b"),
        ("T_A=# a comment", ""),
        ("T_A=", ""),
        ("T_A='a $HOME # \"b\"' # a comment", 'a $HOME # "b"'),
        (r'T_A="a \"b\" \$x \\ # c"', r'a "b" $x \ # c'),
        (r'T_A="a\nb"', "a\nb"),
        ("T_A=it's", "it's"),
        ("T_A=$(touch executed)", None),
        ("T_A=`touch executed`", "`touch executed`"),
        ("T_A=a=b; touch executed", "a=b; touch executed"),
    ],
)
def test_values(tmp_path: Path, line: str, value: str | None) -> None:
    """Values are those of Compose, without execution or expansion."""
    result = start(tmp_path, f"\ufeff# a comment\n\n{line}\r\nT_B=last")

    if value is None:
        assert (2, "") == (result.returncode, result.stdout)
    else:
        assert {"T_A": value, "T_B": "last"} == json.loads(result.stdout)
    assert not (tmp_path / "executed").exists()


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("A=1\nhush", "line 2 must be NAME=value."),
        ("1A=hush", "line 1 must be NAME=value."),
        ("A='hush", "line 1: the value of A has an open quote or a $; put it in single quotes."),
        ('A="hush$x"', "line 1: the value of A has an open quote or a $; put it in single quotes."),
        (b"A=\xff", "it is not UTF-8 text."),
    ],
)
def test_invalid_file(tmp_path: Path, text: str | bytes, problem: str) -> None:
    """An invalid line is exit code 2, and a message without its value."""
    result = start(tmp_path, text)

    assert (2, f".env cannot be used: {problem}\n", "") == (result.returncode, result.stderr, result.stdout)


@pytest.mark.parametrize(
    ("text", "variables", "message"),
    [
        ("T_A=hush\nT_B=hush\nT_C=", {"T_A": "hush", "T_B": "shell", "T_C": ""}, "Read from .env: T_A\n"),
        (None, {"T_B": "shell"}, ""),
    ],
    ids=["file", "no file"],
)
def test_precedence(tmp_path: Path, text: str | None, variables: dict[str, str], message: str) -> None:
    """Variables of the shell take precedence; names of the file's variables are printed."""
    result = start(tmp_path, text, T_B="shell")

    assert (variables, message) == (json.loads(result.stdout), result.stderr)


def test_make_run(tmp_path: Path) -> None:
    """`make run` starts the exporter with the variables of the file."""
    (tmp_path / ".venv").mkdir()
    (tmp_path / ".venv/run.stamp").touch()
    (tmp_path / ".ci").symlink_to(ROOT / ".ci")
    (tmp_path / ".env").write_text("LOG_LEVEL=loud\n")
    options = (f"--file={ROOT}/Makefile", "--old-file=.venv/run.stamp", f"BIN={Path(sys.executable).parent}")
    result = run(["make", *options, "run"], tmp_path, PYTHONPATH=str(ROOT))

    assert 2 == result.returncode
    assert result.stderr.startswith("Read from .env: LOG_LEVEL\n")
    assert 'provider-metrics-exporter: LOG_LEVEL="loud": must be ' in result.stderr
