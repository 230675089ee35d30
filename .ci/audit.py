"""Scans tracked files for secrets, and pinned packages for vulnerabilities: `make audit`.

A finding is exit code 1. An unreachable registry is not a finding: after a second attempt, the output says
what was not audited.
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

LOCKS = tuple(f"--requirement=requirements/{name}.txt" for name in ("run", "test", "browser", "dev", "go"))
DOCKERFILE = Path(__file__).parent.parent / "Dockerfile"
IMAGE_PYTHON = re.compile(r"^FROM python:(\d+\.\d+)", re.MULTILINE)
PLATFORMS = {"linux/amd64": "x86_64-manylinux_2_40", "linux/arm64": "aarch64-manylinux_2_40"}
"""Platforms of the image, with uv's names; the C library of the image is newer than these."""
PLUGIN = Path(__file__).parent / "gateway_key.py"
NOT_SCANNED = r"^requirements/"
"""Hashes of packages look like keys."""
NO_SECRETS = (
    # Secrets of tests and of the demo.
    r"sesame|secret|hush|p%40ss|s3cret|hidden(\\nhidden)?|very-secret-word|own-password|pässwörd→",
    "a-pass-word that-nobody-prints|demo-password-that-protects-nothing",
    # Values of fields for secrets: names of variables, accounts and files.
    r"[A-Z]+(_[A-Z]+)+|alerts|password|empty",
    # Names of Kubernetes Secrets.
    r"gateway|exporter(-provider-metrics-exporter)?-(web|certificate)(-mutual)?|providers-certificate|remote-write",
    # Error numbers of Grafana.
    r"ACE\d+",
)
"""Complete values that look like secrets and are not."""
UNREACHABLE = re.compile(
    r"Retrying \(|[Tt]imed ?out|Timeout|ConnectionError|ProxyError|Could not connect|[Ss]erver [Ee]rror"
    r"|error sending request"
)
"""Messages of pip, pip-audit and uv for an unreachable or failing registry."""
NOT_AUDITED = "not audited: the registry did not answer, twice"
LONGEST_SECONDS = 600.0


@dataclass(frozen=True, slots=True)
class Result:
    """The result of a check: a summary, and findings to fix."""

    summary: str
    findings: Sequence[str] = ()


def main() -> int:
    """Run all checks, print the results, and return the exit code."""
    results = [check() for check in (secrets, pins, wheels, advisories)]
    for result in results:
        print(result.summary)
        for finding in result.findings:
            print(f"    {finding}")
    return int(any(result.findings for result in results))


def secrets() -> Result:
    """Scan the tracked files, without verification of secrets over the network."""
    files = run("git", "ls-files", "-z").stdout.split("\0")[:-1]
    options = ["--no-verify", "--json", f"--plugin={PLUGIN}", f"--exclude-files={NOT_SCANNED}"]
    options.append(f"--exclude-secrets=^(?:{'|'.join(NO_SECRETS)})$")
    scan = run("detect-secrets-hook", *options, *files)
    if not files or scan.returncode not in (0, 1):
        return Result("Secrets: the scan failed", lines(scan))
    found = json.loads(scan.stdout)["results"] if scan.returncode else {}
    findings = [f"{file}:{one['line_number']}: {one['type']}" for file, all_ in found.items() for one in all_]
    return Result(f"Secrets: {len(findings) or 'none'} in {len(files)} files", findings)


def pins() -> Result:
    """Download the pinned packages and compare hashes without installing; report yanked versions."""
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
    """Install the image's packages for each platform into a temporary folder, without running them."""
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
    """Look up known vulnerabilities of the pinned packages."""
    options = ("--disable-pip", "--require-hashes", "--progress-spinner=off", "--format=json")
    audit = ask("pip-audit", *options, *LOCKS)
    try:
        packages = json.loads(audit.stdout)["dependencies"]
    except ValueError:
        if is_unreachable(audit):
            return Result(f"Advisories: {NOT_AUDITED}")
        return Result("Advisories: the audit failed", lines(audit)[-1:])
    audited = [package for package in packages if "skip_reason" not in package]
    findings = [
        f"{package['name']} {package['version']}: {fault['id']}, fixed in {', '.join(fault['fix_versions'])}"
        for package in audited
        for fault in package["vulns"]
    ]
    unknown = len(packages) - len(audited)
    parts = [f"{len(audited)} packages, {len(findings) or 'no'} known vulnerabilities"] if audited else []
    parts += [f"{unknown} packages: the registry gives no advisories"] if unknown else []
    return Result(f"Advisories: {'; '.join(parts)}", findings)


def ask(*command: str) -> subprocess.CompletedProcess[str]:
    """Run a command that needs the registry, a second time if the registry is unreachable."""
    completed = run(*command)
    return run(*command) if is_unreachable(completed) else completed


def run(*command: str) -> subprocess.CompletedProcess[str]:
    """Run a program of the PATH; a timeout counts as an unreachable registry."""
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=LONGEST_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        return subprocess.CompletedProcess(command, 1, "", "timed out")


def is_unreachable(completed: subprocess.CompletedProcess[str]) -> bool:
    """Return whether a program failed because of the registry; a wrong hash is a finding."""
    hashes_differ = any(text in completed.stderr for text in ("DO NOT MATCH THE HASHES", "Hash mismatch"))
    return completed.returncode != 0 and not hashes_differ and bool(UNREACHABLE.search(completed.stderr))


def lines(completed: subprocess.CompletedProcess[str]) -> list[str]:
    """Return the error output of a program."""
    return [line.strip() for line in completed.stderr.splitlines() if line.strip()] or ["no error output"]


if __name__ == "__main__":
    sys.exit(main())
