"""The one place where the project's configuration is changed for tests: addresses, paths and waits."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent


def substituted(config: str, changes: Mapping[str, str]) -> str:
    """Return a configuration file of the project with some texts replaced by others.

    Args:
        config: Path of the file below the project's root.
        changes: What stands for what; each has to be there, so that none is forgotten when the file changes.

    Raises:
        KeyError: When a text to be replaced is not in the file.
    """
    text = (ROOT / config).read_text(encoding="utf-8")
    for old, new in changes.items():
        if old not in text:
            raise KeyError(f"{old!r} is not in {config}")
        text = text.replace(old, new)
    return text
