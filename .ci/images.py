"""Writes the digests of the images into the compose files and Dockerfiles: `name:tag@sha256:...`.

Arguments such as `prom/prometheus:v3.16.0` change tags; all others keep theirs. Needs Docker's buildx and
access to the registry. Changes no file unless every digest was found.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

FILES = ("docker-compose*.yml", "Dockerfile", "deploy/railway/*/Dockerfile")
REFERENCE = re.compile(
    r"(?m)^(?P<key>\s*image: (?:&\S+ )?|FROM )"
    r"(?P<name>[\w./-]+):(?P<tag>[\w.-]+)(?:@sha256:[0-9a-f]{64})?(?=\s|$)"
)
OWN = "provider-metrics-exporter"
"""Built here, so it has no digest in a registry."""
DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
INSPECT = ("docker", "buildx", "imagetools", "inspect", "--format", "{{.Manifest.Digest}}")


def files(root: Path) -> Iterator[Path]:
    """Yield the files that name images."""
    for pattern in FILES:
        yield from sorted(root.glob(pattern))


def references(root: Path) -> Mapping[str, str]:
    """Return the tag of each image by its name."""
    found = [match for path in files(root) for match in REFERENCE.finditer(path.read_text(encoding="utf-8"))]
    return {match["name"]: match["tag"] for match in found if match["name"] != OWN}


def digest(image: str) -> str:
    """Return the digest of an image, for all its architectures.

    Raises:
        RuntimeError: When it cannot be looked up.
    """
    try:
        result = subprocess.run([*INSPECT, image], capture_output=True, text=True, check=False)
    except OSError as error:
        raise RuntimeError(f"docker cannot be started: {error.strerror}") from error
    if result.returncode or not (found := DIGEST.search(result.stdout)):
        raise RuntimeError(f"{image}: {(result.stderr or result.stdout).strip()}")
    return found[0]


def renew(root: Path, wanted: Sequence[str]) -> int:
    """Write tags and digests into all files, and print them; return the exit code."""
    tags = references(root)
    changes = dict(image.split(":", 1) for image in wanted if ":" in image)
    if len(changes) < len(wanted) or not set(changes) <= set(tags):
        print(f"Expected name:tag with a name of {', '.join(sorted(tags))}.", file=sys.stderr)
        return 2
    images = {name: f"{name}:{tag}" for name, tag in {**tags, **changes}.items()}
    try:
        pinned = {name: f"{image}@{digest(image)}" for name, image in images.items()}
    except RuntimeError as error:
        print(f"Nothing was changed. {error}", file=sys.stderr)
        return 1

    def replaced(match: re.Match[str]) -> str:
        return f"{match['key']}{pinned[match['name']]}" if match["name"] in pinned else match[0]

    for path in files(root):
        text = path.read_text(encoding="utf-8")
        path.write_text(REFERENCE.sub(replaced, text), encoding="utf-8")
    print("\n".join(pinned.values()))
    return 0


if __name__ == "__main__":
    sys.exit(renew(Path(__file__).parents[1], sys.argv[1:]))
