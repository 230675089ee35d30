"""Tests of `.ci/images.py` with a stub of docker: no registry can be reached where the tests run."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCRIPT = Path(".ci/images.py")
DOCKER = """#!/bin/sh
# Answers like buildx: every image is in the registry but one.
[ "$1 $2 $3 $4 $5" = "buildx imagetools inspect --format {{.Manifest.Digest}}" ] || exit 9
case $6 in
  *:missing) echo "ERROR: $6: not found" >&2; exit 1 ;;
esac
printf '%s' "$6" | sha256sum | sed 's/^/sha256:/; s/ .*//'
"""


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A copy of the files that name images, and of the program."""
    names = ["docker-compose.yml", "docker-compose.scale.yml", "Dockerfile", str(SCRIPT)]
    names += [str(path.relative_to(ROOT)) for path in ROOT.glob("deploy/railway/*/Dockerfile")]
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, tmp_path / name)
    docker = tmp_path / "bin" / "docker"
    docker.parent.mkdir()
    docker.write_text(DOCKER, encoding="utf-8")
    docker.chmod(0o755)
    return tmp_path


def run(tree: Path, *images: str, path: str = "") -> tuple[int, str, str]:
    """Run the program; return exit code, output and errors."""
    environment = {"PATH": path or f"{tree / 'bin'}:{os.environ['PATH']}"}
    command = [sys.executable, str(tree / SCRIPT), *images]
    result = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    return result.returncode, result.stdout, result.stderr


def content(tree: Path) -> Mapping[Path, str]:
    """Return the text of every file that names an image."""
    files = [*tree.glob("*.yml"), *tree.rglob("Dockerfile")]
    return {path.relative_to(tree): path.read_text(encoding="utf-8") for path in files}


def with_digest(image: str) -> str:
    """Return an image with the digest that the stub has for it."""
    return f"{image}@sha256:{hashlib.sha256(image.encode()).hexdigest()}"


def test_digests(tree: Path) -> None:
    """Every image but the project's own gets the digest of its tag, and that only once."""
    before = content(tree)
    named = {image for text in before.values() for image in re.findall(r"(?m)^FROM (\S+:\S+)", text)}
    named |= {
        image for text in before.values() for image in re.findall(r"image: (?:&\S+ )?([\w./-]+:\S+)", text)
    }
    images = {image for image in named if not image.startswith("provider-metrics-exporter:")}

    code, output, errors = run(tree)
    after = content(tree)

    assert (0, "") == (code, errors)
    assert {with_digest(image) for image in images} == set(output.split())
    expected = dict(before)
    for image in images:
        pattern = rf"(?m)(?<=[ ]){re.escape(image)}(?=\s)"
        expected = {path: re.sub(pattern, with_digest(image), text) for path, text in expected.items()}
    assert expected == after
    assert (0, output, "") == run(tree)
    assert after == content(tree)


def test_new_tag(tree: Path) -> None:
    """An argument changes the tag of one image, in all files."""
    code, output, _ = run(tree, "prom/prometheus:v9.9.9")

    assert (0, True) == (code, with_digest("prom/prometheus:v9.9.9") in output)
    found = {tag for text in content(tree).values() for tag in re.findall(r"prom/prometheus:(v[\d.]+)", text)}
    assert {"v9.9.9"} == found


@pytest.mark.parametrize(
    ("image", "code", "text"),
    [
        ("prom/prometheus:missing", 1, "Nothing was changed. prom/prometheus:missing: ERROR:"),
        ("prom/prometheus", 2, "Expected name:tag with a name of busybox, "),
        ("nginx:1.29.0", 2, "Expected name:tag with a name of busybox, "),
    ],
)
def test_invalid_image(tree: Path, image: str, code: int, text: str) -> None:
    """An image that is missing or not used here changes nothing."""
    before = content(tree)

    seen, output, errors = run(tree, image)

    assert (code, "", True) == (seen, output, errors.startswith(text))
    assert before == content(tree)


def test_without_docker(tree: Path) -> None:
    """Without docker nothing changes."""
    before = content(tree)

    assert (1, "", "Nothing was changed. docker cannot be started: No such file or directory\n") == run(
        tree, path=str(tree / "nowhere")
    )
    assert before == content(tree)
