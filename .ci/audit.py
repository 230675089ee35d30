"""Looks for secrets in every tracked file, and for known faults of what is pinned: `make audit`.

A finding is exit code 1. That the registry does not answer is no fault of a change and must not stop it: it
is asked twice, and then a line says what was not audited.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

LOCKS = tuple(f"--requirement=requirements/{name}.txt" for name in ("run", "test", "dev", "go"))
DOCKERFILE = Path(__file__).parent.parent / "Dockerfile"
IMAGE_PYTHON = re.compile(r"^FROM python:(\d+\.\d+)", re.MULTILINE)
PLATFORMS = {"linux/amd64": "x86_64-manylinux_2_40", "linux/arm64": "aarch64-manylinux_2_40"}
"""What the image is built for, and uv's names of it; the C library of the image is newer than that."""
PLUGIN = Path(__file__).parent / "gateway_key.py"
NOT_SCANNED = r"^requirements/"
"""Hashes of packages, which look like keys."""
MADE_UP = (
    # What tests and the demo use in the place of secrets.
    r"sesame|secret|hush|p%40ss|s3cret|hidden(\\nhidden)?|very-secret-word|own-password|pässwörd→",
    "a-pass-word that-nobody-prints|demo-password-that-protects-nothing",
    # Fields and files that are named after a secret: the name of a variable, of an account, of a file.
    r"[A-Z]+(_[A-Z]+)+|alerts|password|empty",
    # Names of Kubernetes' Secrets, which hold what is secret elsewhere.
    r"gateway|exporter-(web|certificate)(-mutual)?|providers-certificate|mimir-write",
    # An error of Grafana, by its number.
    r"ACE\d+",
)
"""What looks like a secret and is none, as a whole."""
UNREACHABLE = re.compile(
    r"Retrying \(|[Tt]imed ?out|Timeout|ConnectionError|ProxyError|Could not connect|[Ss]erver [Ee]rror"
    r"|error sending request"
)
"""What pip, pip-audit and uv write when the registry does not answer, or only with an error of its own."""
NOT_AUDITED = "not audited: the registry did not answer, twice"
LONGEST_SECONDS = 600.0


@dataclass(frozen=True, slots=True)
class Result:
    """What one check came to: a line for a person, and what must be mended."""

    summary: str
    findings: Sequence[str] = ()


def main() -> int:
    """Run every check, print what they came to, and return the exit code."""
    results = [check() for check in (secrets, pins, wheels, advisories)]
    for result in results:
        print(result.summary)
        for finding in result.findings:
            print(f"    {finding}")
    return int(any(result.findings for result in results))


def secrets() -> Result:
    """Scan the tracked files; nothing is sent anywhere to try whether a secret works."""
    files = run("git", "ls-files", "-z").stdout.split("\0")[:-1]
    options = ["--no-verify", "--json", f"--plugin={PLUGIN}", f"--exclude-files={NOT_SCANNED}"]
    options.append(f"--exclude-secrets=^(?:{'|'.join(MADE_UP)})$")
    scan = run("detect-secrets-hook", *options, *files)
    if not files or scan.returncode not in (0, 1):
        return Result("Secrets: the scan failed", lines(scan))
    found = json.loads(scan.stdout)["results"] if scan.returncode else {}
    findings = [f"{file}:{one['line_number']}: {one['type']}" for file, all_ in found.items() for one in all_]
    return Result(f"Secrets: {len(findings) or 'none'} in {len(files)} files", findings)


def pins() -> Result:
    """Let pip get what is pinned and compare the hashes, without installing; it tells what was withdrawn."""
    options = ("--dry-run", "--ignore-installed", "--no-deps", "--require-hashes", "--quiet", "--report=-")
    install = ask("pip", "install", "--disable-pip-version-check", *options, *LOCKS)
    if install.returncode == 0:
        packages = json.loads(install.stdout)["install"]
        yanked = [package["metadata"] for package in packages if package["is_yanked"]]
        findings = [f"{package['name']} {package['version']} has been withdrawn" for package in yanked]
        return Result(f"Pins: {len(packages)} packages, served with the hashes that are pinned", findings)
    if is_unreachable(install):
        return Result(f"Pins: {NOT_AUDITED}")
    return Result("Pins: what is served is not what is pinned", lines(install))


def wheels() -> Result:
    """Install what the image installs, for each of its platforms, in a folder that goes; none of it runs."""
    version = IMAGE_PYTHON.findall(DOCKERFILE.read_text(encoding="utf-8"))[0]
    options = (
        "--quiet",
        "--only-binary=:all:",
        "--no-deps",
        "--require-hashes",
        f"--python-version={version}",
    )
    found = []
    for platform, name in PLATFORMS.items():
        with TemporaryDirectory() as folder:
            where = (f"--target={folder}", f"--python-platform={name}", "--requirement=requirements/run.txt")
            install = ask("uv", "pip", "install", *options, *where)
        if is_unreachable(install):
            return Result(f"Wheels: {NOT_AUDITED}")
        if install.returncode != 0:
            return Result(f"Wheels: not all for {platform} and Python {version}", lines(install))
        found.append(platform)
    return Result(f"Wheels: all for {' and '.join(found)}, with the hashes that are pinned")


def advisories() -> Result:
    """Ask for known vulnerabilities of what is pinned."""
    options = ("--disable-pip", "--require-hashes", "--progress-spinner=off", "--format=json")
    audit = ask("pip-audit", *options, *LOCKS)
    try:
        packages = json.loads(audit.stdout)["dependencies"]
    except ValueError:
        if is_unreachable(audit):
            return Result(f"Advisories: {NOT_AUDITED}")
        return Result("Advisories: the audit failed", lines(audit)[-1:])
    known = [package for package in packages if "skip_reason" not in package]
    findings = [
        f"{package['name']} {package['version']}: {fault['id']}, mended in {', '.join(fault['fix_versions'])}"
        for package in known
        for fault in package["vulns"]
    ]
    unknown = len(packages) - len(known)
    parts = [f"{len(known)} packages, {len(findings) or 'no'} known vulnerabilities"] if known else []
    parts += [f"{unknown} packages: the registry gives no advisories"] if unknown else []
    return Result(f"Advisories: {'; '.join(parts)}", findings)


def ask(*command: str) -> subprocess.CompletedProcess[str]:
    """Run what needs the registry, and once more if that does not answer."""
    completed = run(*command)
    return run(*command) if is_unreachable(completed) else completed


def run(*command: str) -> subprocess.CompletedProcess[str]:
    """Run a program of the PATH; one that takes far too long ends as it does when the registry is silent."""
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=LONGEST_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        return subprocess.CompletedProcess(command, 1, "", "timed out")


def is_unreachable(completed: subprocess.CompletedProcess[str]) -> bool:
    """Tell whether a program failed for want of the registry; a wrong hash is a finding all the same."""
    hashes_differ = any(text in completed.stderr for text in ("DO NOT MATCH THE HASHES", "Hash mismatch"))
    return completed.returncode != 0 and not hashes_differ and bool(UNREACHABLE.search(completed.stderr))


def lines(completed: subprocess.CompletedProcess[str]) -> list[str]:
    """Return what a program complained of."""
    return [line.strip() for line in completed.stderr.splitlines() if line.strip()] or [
        "no word of the reason"
    ]


if __name__ == "__main__":
    sys.exit(main())
