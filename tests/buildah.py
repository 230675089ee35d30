"""Builds Dockerfiles with buildah, on base images that are made here: no registry is asked."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

BASE = "FROM scratch\nCOPY . /\n"
BUILD_SECONDS = 300.0


@dataclass(frozen=True, slots=True)
class Image:
    """A built image."""

    root: Path
    """Its file system."""
    config: Mapping[str, Any]
    """Its OCI configuration: `Entrypoint`, `Cmd`, `User`, `Env`, `ExposedPorts`, ..."""

    @property
    def environment(self) -> Mapping[str, str]:
        """The variables of the image."""
        return dict(pair.split("=", 1) for pair in self.config["Env"])

    def files(self, folder: str) -> Sequence[str]:
        """Return the paths of all files below a folder of the image, relative to it, sorted."""
        below = self.root / folder.lstrip("/")
        return sorted(str(path.relative_to(below)) for path in below.rglob("*") if not path.is_dir())


class Buildah:
    """A store of images in a folder of its own, and the builds in it. Needs root."""

    def __init__(self, folder: Path) -> None:
        """Create the store.

        Args:
            folder: Where it is kept; must exist.
        """
        self._folder = folder
        self._number = 0
        settings = folder / "storage.conf"
        settings.write_text(
            f'[storage]\ndriver = "vfs"\ngraphroot = "{folder}/graph"\nrunroot = "{folder}/run"\n',
            encoding="utf-8",
        )
        self._environ = {**os.environ, "CONTAINERS_STORAGE_CONF": str(settings)}

    def base(self, tag: str, root: Path) -> None:
        """Store a folder as an image, to be the base of later builds.

        Args:
            tag: Its name, as in the line FROM.
            root: The file system of the image.
        """
        dockerfile = self._folder / "Dockerfile.base"
        dockerfile.write_text(BASE, encoding="utf-8")
        self._build(tag, dockerfile, root)

    def build(self, dockerfile: Path, context: Path) -> Image:
        """Build an image; every base must be stored before.

        Raises:
            RuntimeError: When the build fails; the message has its output.
        """
        self._number += 1
        tag = f"image-{self._number}"
        self._build(tag, dockerfile, context)
        container = self._run("from", "--pull=never", tag)
        described = json.loads(self._run("inspect", "--type=image", tag))
        return Image(Path(self._run("mount", container)), described["OCIv1"]["config"])

    def _build(self, tag: str, dockerfile: Path, context: Path) -> None:
        options = ("--isolation=chroot", "--pull=never", f"--tag={tag}", f"--file={dockerfile}")
        self._run("bud", *options, str(context))

    def _run(self, *arguments: str) -> str:
        command = ["buildah", *arguments]
        result = subprocess.run(
            command, env=self._environ, capture_output=True, text=True, timeout=BUILD_SECONDS, check=False
        )
        if result.returncode:
            raise RuntimeError(f"{' '.join(command)}\n{result.stdout}{result.stderr}")
        return result.stdout.strip()


def busybox_root(folder: Path) -> Path:
    """Fill an empty folder with a shell and the usual commands: the static busybox of this machine."""
    programs = folder / "bin"
    programs.mkdir(parents=True)
    busybox = programs / "busybox"
    shutil.copy(shutil.which("busybox") or "/bin/busybox", busybox)
    names = subprocess.run([busybox, "--list"], capture_output=True, text=True, timeout=10, check=True)
    for name in set(names.stdout.split()) - {"busybox"}:
        (programs / name).symlink_to("busybox")
    for name in ("etc", "tmp", "var"):
        (folder / name).mkdir()
    return folder
