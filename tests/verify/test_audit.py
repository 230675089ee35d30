"""Tests of `.ci/audit.py` with the real scanner for secrets, and stubs of git, pip, uv and pip-audit."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
PLANTED = b"gw_live_" + hashlib.sha256(b"planted").hexdigest()[:32].encode()

GOOD = {"is_yanked": False, "metadata": {"name": "click", "version": "8.4.2"}}
YANKED = {"is_yanked": True, "metadata": {"name": "attrs", "version": "21.1.0"}}
SOUND = {"name": "idna", "version": "3.11", "vulns": []}
VULNERABLE = {
    "name": "urllib3",
    "version": "1.26.5",
    "vulns": [{"id": "PYSEC-2023-192", "fix_versions": ["1.26.17", "2.0.6"], "aliases": ["CVE-2023-43804"]}],
}
SKIPPED = {
    "name": "click",
    "skip_reason": "Dependency not found on PyPI and could not be audited: click (8.4.2)",
}
NO_CONNECTION = (
    "WARNING: Retrying (Retry(total=0, connect=None, read=None, redirect=None, status=None)) after "
    "connection broken by 'NewConnectionError(\"HTTPConnection(host='registry.example')\")': /simple/\n"
    "ERROR: Could not find a version that satisfies the requirement anyio==4.16.0 (from versions: none)\n"
    "ERROR: No matching distribution found for anyio==4.16.0\n"
)
OTHER_HASH = (
    "ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE.\n"
    "    click==8.1.8 (from -r requirements/run.txt (line 1)):\n"
    "        Expected sha256 00\n"
    "             Got        63\n"
)
GONE = "ERROR: No matching distribution found for anyio==4.16.0\n"
NO_WHEEL = (
    "error: No solution found when resolving dependencies\n"
    "  cause: Because click==8.4.2 has no wheels with a matching platform tag\n"
)
OTHER_WHEEL = "error: Failed to download `click==8.4.2`\n  cause: Hash mismatch for `click==8.4.2`\n"
NO_INDEX = (
    "error: Failed to fetch: http://registry.example/simple/click/\n"
    "  cause: error sending request for url (http://registry.example/simple/click/)\n"
)
NO_FEED = (
    "Traceback (most recent call last):\nrequests.exceptions.ReadTimeout: Read timed out. (read timeout=15)\n"
)


AuditPackages = Callable[[], tuple[int, list[str]]]
SERVED = "packages, served with the hashes that are pinned"


def indented(errors: str) -> list[str]:
    """Return the lines of error output as the audit prints them."""
    return [f"    {line.strip()}" for line in errors.splitlines()]


def pip(*packages: object) -> tuple[str, str, int]:
    """Return the output of pip for these packages."""
    return json.dumps({"version": "1", "install": packages}), "", 0


def advisories(*packages: object) -> tuple[str, str, int]:
    """Return the output of pip-audit for these packages."""
    faults = any(dict(package).get("vulns") for package in packages)  # type: ignore[call-overload]
    return json.dumps({"dependencies": packages, "fixes": []}), "", int(faults)


class Tools:
    """A folder of stub programs; each call returns the next output, and then the last one."""

    def __init__(self, folder: Path) -> None:
        """Start with successful programs."""
        self.folder = folder
        self.play("pip", pip(GOOD))
        self.play("pip-audit", advisories(SOUND))
        self.play("uv", ("", "", 0))
        hook = "detect-secrets-hook"
        (folder / hook).symlink_to(Path(sys.executable).parent / hook)

    def play(self, name: str, *answers: tuple[str, str, int]) -> None:
        """Set output, error output and exit code of each call of a program."""
        (self.folder / f"{name}.json").write_text(json.dumps(answers), encoding="utf-8")
        (self.folder / f"{name}.calls").write_text("", encoding="utf-8")
        path = self.folder / name
        path.write_text(f"#!{sys.executable}\n{STUB}", encoding="utf-8")
        path.chmod(0o755)

    def calls(self, name: str) -> list[str]:
        """Return the command lines of a program's calls."""
        return (self.folder / f"{name}.calls").read_text(encoding="utf-8").splitlines()


STUB = """
import json, pathlib, sys
base = pathlib.Path(sys.argv[0])
calls = base.with_name(f"{base.name}.calls")
answers = json.loads(base.with_name(f"{base.name}.json").read_text("utf-8"))
number = len(calls.read_text("utf-8").splitlines())
with calls.open("a", encoding="utf-8") as file:
    print(*sys.argv[1:], file=file)
out, error, code = answers[min(number, len(answers) - 1)]
sys.stdout.write(out)
sys.stderr.write(error)
sys.exit(code)
"""


@pytest.fixture
def tools(tmp_path: Path) -> Tools:
    """The programs of the audit."""
    folder = tmp_path / "bin"
    folder.mkdir()
    return Tools(folder)


def tree(folder: Path, files: Mapping[str, bytes]) -> Path:
    """Create a folder with these files."""
    folder.mkdir()
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def audit(folder: Path, tools: Tools) -> tuple[int, list[str]]:
    """Return exit code and output of an audit of a folder whose files are all tracked."""
    tracked = [path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()]
    tools.play("git", ("".join(f"{name}\0" for name in tracked), "", 0))
    result = subprocess.run(
        [sys.executable, str(ROOT / ".ci" / "audit.py")],
        cwd=folder,
        env={"PATH": str(tools.folder)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert "" == result.stderr
    return result.returncode, result.stdout.splitlines()


@pytest.fixture
def audit_packages(tmp_path: Path, tools: Tools) -> AuditPackages:
    """Runs the audit of a folder without secrets; returns exit code and output without the first line."""
    folder = tree(tmp_path / "tree", {"empty.txt": b""})

    def run() -> tuple[int, list[str]]:
        code, lines = audit(folder, tools)
        assert "Secrets: none in 1 files" == lines[0]
        return code, lines[1:]

    return run


def test_planted_secrets(tmp_path: Path, tools: Tools) -> None:
    """Finds planted secrets, and does not print them."""
    good = {
        name: (ROOT / name).read_bytes()
        for name in ("README.md", ".env.example", "exporter/gateway/credentials.py")
    }
    planted = {
        ".env.live": b"# The key\nADMIN_KEY=" + PLANTED + b"\n",
        "notes/key.md": b"It is " + PLANTED + b".\n",
        "config.py": b'password = "' + b"Tr0ub4dor&3" + b'"\n',
        "key.pem": b"-----BEGIN " + b"PRIVATE KEY-----\n",
    }

    code, lines = audit(tree(tmp_path / "tree", {**good, **planted}), tools)

    assert 1 == code
    assert "Secrets: 4 in 7 files" == lines[0]
    assert [
        "    .env.live:2: Gateway Key",
        "    config.py:1: Secret Keyword",
        "    key.pem:1: Private Key",
        "    notes/key.md:1: Gateway Key",
    ] == sorted(lines[1:5])
    assert PLANTED.decode() not in "".join(lines)


def test_nothing_tracked(tmp_path: Path, tools: Tools) -> None:
    """An audit without files fails."""
    code, lines = audit(tree(tmp_path / "tree", {}), tools)

    assert (1, "Secrets: the scan failed") == (code, lines[0])


def test_nothing_found(audit_packages: AuditPackages, tools: Tools) -> None:
    """Both pip and pip-audit read each lock file, with hashes and without installation."""
    assert (
        0,
        [
            "Pins: 1 packages, served with the hashes that are pinned",
            "Wheels: all for linux/amd64 and linux/arm64, with the hashes that are pinned",
            "Advisories: 1 packages, no known vulnerabilities",
        ],
    ) == audit_packages()
    assert ["ls-files -z"] == tools.calls("git")
    locks = sorted(f"--requirement=requirements/{path.name}" for path in (ROOT / "requirements").iterdir())
    for name in ("pip", "pip-audit"):
        (call,) = tools.calls(name)
        assert locks == sorted(word for word in call.split() if word.startswith("--requirement="))
        assert "--require-hashes" in call
    assert {"--dry-run", "--ignore-installed", "--no-deps"} <= set(tools.calls("pip")[0].split())


WITHDRAWN = "    attrs 21.1.0 has been withdrawn"
FIXED = "    urllib3 1.26.5: PYSEC-2023-192, fixed in 1.26.17, 2.0.6"
NO_ADVISORIES = "1 packages: the registry gives no advisories"
NO_AMD64 = "Wheels: not all for linux/amd64 and Python 3.13"
OTHER_PINS = "Pins: what is served is not what is pinned"


@pytest.mark.parametrize(
    ("name", "answer", "code", "expected"),
    [
        ("pip", pip(GOOD, YANKED), 1, [f"Pins: 2 {SERVED}", WITHDRAWN]),
        ("pip", ("", OTHER_HASH, 1), 1, [OTHER_PINS, *indented(OTHER_HASH)]),
        ("pip", ("", NO_CONNECTION + OTHER_HASH, 1), 1, [OTHER_PINS, *indented(NO_CONNECTION + OTHER_HASH)]),
        ("pip", ("", GONE, 1), 1, [OTHER_PINS, *indented(GONE)]),
        ("pip", ("", "", 1), 1, [OTHER_PINS, "    no error output"]),
        (
            "uv",
            ("", NO_WHEEL, 1),
            1,
            [NO_AMD64, *indented(NO_WHEEL)],
        ),
        (
            "uv",
            ("", OTHER_WHEEL, 1),
            1,
            [NO_AMD64, *indented(OTHER_WHEEL)],
        ),
        (
            "pip-audit",
            advisories(SOUND, VULNERABLE),
            1,
            ["Advisories: 2 packages, 1 known vulnerabilities", FIXED],
        ),
        ("pip-audit", advisories(SKIPPED), 0, [f"Advisories: {NO_ADVISORIES}"]),
        (
            "pip-audit",
            advisories(SKIPPED, VULNERABLE),
            1,
            [f"Advisories: 1 packages, 1 known vulnerabilities; {NO_ADVISORIES}", FIXED],
        ),
        (
            "pip-audit",
            ("", "usage: ...\nwrong option\n", 2),
            1,
            ["Advisories: the audit failed", "    wrong option"],
        ),
    ],
    ids=[
        "withdrawn",
        "other hash",
        "other hash after a retry",
        "gone",
        "failed silently",
        "no wheel",
        "other wheel",
        "vulnerable",
        "no advisories",
        "some advisories",
        "wrong call",
    ],
)
def test_findings(
    audit_packages: AuditPackages,
    tools: Tools,
    name: str,
    answer: tuple[str, str, int],
    code: int,
    expected: Sequence[str],
) -> None:
    """A yanked or missing version, another hash and a vulnerability are findings at the first attempt."""
    tools.play(name, answer)

    actual, lines = audit_packages()

    assert (code, 1) == (actual, len(tools.calls(name)))
    assert list(expected) == [line for line in lines if line in expected]


def test_wheels_for_the_image(audit_packages: AuditPackages, tools: Tools) -> None:
    """Wheels with hashes are installed for the image's Python, for each platform until one fails."""
    tools.play("uv", ("", "", 0), ("", NO_WHEEL, 1))

    code, lines = audit_packages()

    assert (1, True) == (code, "Wheels: not all for linux/arm64 and Python 3.13" in lines)
    for call, machine in zip(tools.calls("uv"), ("x86_64", "aarch64"), strict=True):
        assert {
            "--require-hashes",
            "--no-deps",
            "--only-binary=:all:",
            "--python-version=3.13",
            "--requirement=requirements/run.txt",
            f"--python-platform={machine}-manylinux_2_40",
        } <= set(call.split())
    assert "FROM python:3.13." in (ROOT / "Dockerfile").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("name", "error"),
    [("pip", NO_CONNECTION), ("pip-audit", NO_FEED), ("uv", NO_INDEX)],
    ids=["pip", "pip-audit", "uv"],
)
def test_unreachable_registry(audit_packages: AuditPackages, tools: Tools, name: str, error: str) -> None:
    """After two attempts with an unreachable registry the audit passes, and says so."""
    tools.play(name, ("", error, 1))

    code, lines = audit_packages()

    assert (0, 2) == (code, len(tools.calls(name)))
    assert 1 == sum(line.endswith("not audited: the registry did not answer, twice") for line in lines)


@pytest.mark.parametrize(
    ("name", "error", "then"),
    [("pip", NO_CONNECTION, pip(YANKED)), ("pip-audit", NO_FEED, advisories(VULNERABLE))],
    ids=["pip", "pip-audit"],
)
def test_second_attempt(
    audit_packages: AuditPackages, tools: Tools, name: str, error: str, then: Any
) -> None:
    """Findings of the second attempt count."""
    tools.play(name, ("", error, 1), then)

    assert (1, 2) == (audit_packages()[0], len(tools.calls(name)))
