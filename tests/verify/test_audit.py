"""Tests of `.ci/audit.py` with the real scanner for secrets, and stubs of git, pip, uv and pip-audit."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PLANTED = b"gw_live_" + hashlib.sha256(b"planted").hexdigest()[:32].encode()
Output = tuple[str, str, int]
"""Output, error output and exit code."""


def pip(**yanked: bool) -> Output:
    """Return the output of pip for these packages."""
    packages = [
        {"is_yanked": is_yanked, "metadata": {"name": name, "version": "21.1.0"}}
        for name, is_yanked in yanked.items()
    ]
    return json.dumps({"version": "1", "install": packages}), "", 0


def advisories(*packages: Mapping[str, object]) -> Output:
    """Return the output of pip-audit for these packages."""
    faults = any(package.get("vulns") for package in packages)
    return json.dumps({"dependencies": packages, "fixes": []}), "", int(faults)


SOUND = {"name": "idna", "version": "3.11", "vulns": []}
FAULT = {"id": "PYSEC-2023-192", "fix_versions": ["1.26.17", "2.0.6"], "aliases": ["CVE-2023-43804"]}
VULNERABLE = {"name": "urllib3", "version": "1.26.5", "vulns": [FAULT]}
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
NO_WHEEL = (
    "error: No solution found when resolving dependencies\n"
    "  cause: Because click==8.4.2 has no wheels with a matching platform tag\n"
)
NO_INDEX = (
    "error: Failed to fetch: http://registry.example/simple/click/\n"
    "  cause: error sending request for url (http://registry.example/simple/click/)\n"
)
OTHER_WHEEL = "error: Failed to download `click==8.4.2`\n  cause: Hash mismatch for `click==8.4.2`\n"
NO_FEED = (
    "Traceback (most recent call last):\nrequests.exceptions.ReadTimeout: Read timed out. (read timeout=15)\n"
)

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


class Tools:
    """A folder of stub programs; each call returns the next output, and then the last one."""

    def __init__(self, folder: Path) -> None:
        """Start with successful programs."""
        folder.mkdir()
        self.folder = folder
        self.play("pip", pip(click=False))
        self.play("pip-audit", advisories(SOUND))
        self.play("uv", ("", "", 0))
        hook = "detect-secrets-hook"
        (folder / hook).symlink_to(Path(sys.executable).parent / hook)

    def play(self, name: str, *answers: Output) -> None:
        """Set the result of each call of a program."""
        (self.folder / f"{name}.json").write_text(json.dumps(answers), encoding="utf-8")
        (self.folder / f"{name}.calls").write_text("", encoding="utf-8")
        path = self.folder / name
        path.write_text(f"#!{sys.executable}\n{STUB}", encoding="utf-8")
        path.chmod(0o755)

    def calls(self, name: str) -> list[str]:
        """Return the command lines of a program's calls."""
        return (self.folder / f"{name}.calls").read_text(encoding="utf-8").splitlines()


@pytest.fixture
def tools(tmp_path: Path) -> Tools:
    """The programs of the audit."""
    return Tools(tmp_path / "bin")


def audit(folder: Path, files: Mapping[str, bytes], tools: Tools) -> tuple[int, list[str]]:
    """Return exit code and output of an audit of these files, which are all tracked."""
    folder.mkdir()
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    tools.play("git", ("".join(f"{name}\0" for name in files), "", 0))
    command, env = [sys.executable, str(ROOT / ".ci" / "audit.py")], {"PATH": str(tools.folder)}
    result = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, timeout=300)
    assert "" == result.stderr
    return result.returncode, result.stdout.splitlines()


AuditPackages = Callable[[], tuple[int, list[str]]]


@pytest.fixture
def audit_packages(tmp_path: Path, tools: Tools) -> AuditPackages:
    """Runs the audit of a folder without secrets; returns exit code and output without the first line."""

    def run() -> tuple[int, list[str]]:
        code, lines = audit(tmp_path / "tree", {"empty.txt": b""}, tools)
        assert "Secrets: none in 1 files" == lines[0]
        return code, lines[1:]

    return run


def test_planted_secrets(tmp_path: Path, tools: Tools) -> None:
    """Finds planted secrets, and does not print them."""
    good = ("README.md", ".env.example", "exporter/gateway/credentials.py")
    planted = {
        ".env.live": b"# The key\nADMIN_KEY=" + PLANTED + b"\n",
        "notes/key.md": b"It is " + PLANTED + b".\n",
        "config.py": b'password = "' + b"Tr0ub4dor&3" + b'"\n',
        "key.pem": b"-----BEGIN " + b"PRIVATE KEY-----\n",
    }

    files = {**{name: (ROOT / name).read_bytes() for name in good}, **planted}
    code, lines = audit(tmp_path / "tree", files, tools)

    assert (1, "Secrets: 4 in 7 files") == (code, lines[0])
    assert [
        "    .env.live:2: Gateway Key",
        "    config.py:1: Secret Keyword",
        "    key.pem:1: Private Key",
        "    notes/key.md:1: Gateway Key",
    ] == sorted(lines[1:5])
    assert PLANTED.decode() not in "".join(lines)


def test_nothing_tracked(tmp_path: Path, tools: Tools) -> None:
    """An audit without files fails."""
    code, lines = audit(tmp_path / "tree", {}, tools)

    assert (1, "Secrets: the scan failed") == (code, lines[0])


def test_nothing_found(audit_packages: AuditPackages, tools: Tools) -> None:
    """Both pip and pip-audit read each lock file, with hashes and without installation."""
    code, lines = audit_packages()

    assert 0 == code
    assert [
        "Pins: 1 packages, served with the hashes that are pinned",
        "Wheels: all for linux/amd64 and linux/arm64, with the hashes that are pinned",
        "Advisories: 1 packages, no known vulnerabilities",
    ] == lines
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
FAILED = "Advisories: the audit failed"
SERVED = "packages, served with the hashes that are pinned"
ONE_KNOWN = "packages, 1 known vulnerabilities"


def failed(name: str, summary: str, errors: str) -> tuple[str, Output, list[str]]:
    """Return a case of a failed program, whose error output is the finding."""
    lines = errors.splitlines() or ["no error output"]
    return name, ("", errors, 1), [summary, *(f"    {line.strip()}" for line in lines)]


FINDINGS: Mapping[str, tuple[str, Output, list[str]]] = {
    "withdrawn": ("pip", pip(click=False, attrs=True), [f"Pins: 2 {SERVED}", WITHDRAWN]),
    "other hash after a retry": failed("pip", OTHER_PINS, NO_CONNECTION + OTHER_HASH),
    "failed silently": failed("pip", OTHER_PINS, ""),
    "no wheel": failed("uv", NO_AMD64, NO_WHEEL),
    "other wheel after a retry": failed("uv", NO_AMD64, NO_INDEX + OTHER_WHEEL),
    "vulnerable": ("pip-audit", advisories(SOUND, VULNERABLE), [f"Advisories: 2 {ONE_KNOWN}", FIXED]),
    "no advisories": ("pip-audit", advisories(SKIPPED), [f"Advisories: {NO_ADVISORIES}"]),
    "some advisories": (
        "pip-audit",
        advisories(SKIPPED, VULNERABLE),
        [f"Advisories: 1 {ONE_KNOWN}; {NO_ADVISORIES}", FIXED],
    ),
    "wrong call": ("pip-audit", ("", "usage: ...\nwrong option\n", 2), [FAILED, "    wrong option"]),
}
"""Program, its output, and lines of the audit: a summary and the findings."""


@pytest.mark.parametrize("case", FINDINGS)
def test_findings(audit_packages: AuditPackages, tools: Tools, case: str) -> None:
    """A yanked or missing version, another hash and a vulnerability are findings at the first attempt."""
    name, answer, expected = FINDINGS[case]
    tools.play(name, answer)

    code, lines = audit_packages()

    assert (len(expected) > 1, 1) == (code, len(tools.calls(name)))
    assert expected == [line for line in lines if line in expected]


def test_wheels_for_the_image(audit_packages: AuditPackages, tools: Tools) -> None:
    """Wheels with hashes are installed for the image's Python, for each platform until one fails."""
    tools.play("uv", ("", "", 0), ("", NO_WHEEL, 1))

    code, lines = audit_packages()

    assert (1, True) == (code, "Wheels: not all for linux/arm64 and Python 3.13" in lines)
    options = {"--require-hashes", "--no-deps", "--only-binary=:all:", "--requirement=requirements/run.txt"}
    for call, machine in zip(tools.calls("uv"), ("x86_64", "aarch64"), strict=True):
        own = {"--python-version=3.13", f"--python-platform={machine}-manylinux_2_40"}
        assert options | own <= set(call.split())
    assert "FROM python:3.13." in (ROOT / "Dockerfile").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("name", "error", "then", "code"),
    [
        ("pip", NO_CONNECTION, (), 0),
        ("pip", NO_CONNECTION, (pip(attrs=True),), 1),
        ("pip-audit", NO_FEED, (), 0),
        ("pip-audit", NO_FEED, (advisories(VULNERABLE),), 1),
        ("uv", NO_INDEX, (), 0),
        ("uv", NO_INDEX, (("", NO_WHEEL, 1),), 1),
    ],
)
def test_unreachable_registry(
    audit_packages: AuditPackages, tools: Tools, name: str, error: str, then: Sequence[Output], code: int
) -> None:
    """An unreachable registry is asked twice; the audit fails only for findings, or says what it skipped."""
    tools.play(name, ("", error, 1), *then)

    actual, lines = audit_packages()

    assert (code, 2) == (actual, len(tools.calls(name)))
    skipped = sum(line.endswith("not audited: the registry did not answer, twice") for line in lines)
    assert 1 - code == skipped
