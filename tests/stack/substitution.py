"""The one place where the project's configuration is changed for tests: addresses, paths and waits."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent

DURATION = re.compile(r"(?<![\w.])(\d+)([smhd])(?!\w)")
"""A duration as Prometheus and Alertmanager write it."""
OBJECTIVE = """
groups:
  - name: gatewayz_local
    interval: 1s
    rules:
      - {record: global:gatewayz_uptime_objective:ratio, expr: vector(0.99)}
"""
"""An operator's own rules."""
STEP = re.compile(r'("interval": "\d+)m"')
"""The shortest step of a panel's queries, in minutes."""
MILLISECONDS = {"s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}


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


def shortened_rules(folder: Path) -> Path:
    """Write the project's rules with their waits cut to seconds, and an objective; return their folder."""
    folder.mkdir()
    intervals = {f"interval: {interval}": "interval: 1s" for interval in ("30s", "60s", "120s", "10m")}
    recording = {**intervals, "offset 1d": "offset 5s"}
    waits = {"interval: 30s": "interval: 1s"} | {
        f"for: {wait}": "for: 0s" for wait in ("1m", "2m", "3m", "5m", "6m", "10m", "15m", "30m")
    }
    for name, changes in (("recording.yml", recording), ("alerts.yml", waits)):
        (folder / name).write_text(substituted(f"prometheus/rules/{name}", changes), encoding="utf-8")
    (folder / "objective.yml").write_text(OBJECTIVE, encoding="utf-8")
    return folder


def shortened_boards(folder: Path) -> Path:
    """Write the project's dashboards with their shortest steps cut from minutes to seconds."""
    folder.mkdir(parents=True)
    for path in sorted((ROOT / "grafana" / "dashboards").glob("*.json")):
        text = STEP.sub(r'\1s"', path.read_text(encoding="utf-8"))
        (folder / path.name).write_text(text, encoding="utf-8")
    return folder


def hastened_rules(folder: Path, factor: int) -> Path:
    """Write the project's rules with all waits divided by a factor, and return their new folder."""
    folder.mkdir()
    # Seconds that are no duration.
    for name, changes in {"alerts.yml": {"> 1200": f"> {1200 // factor}"}, "recording.yml": {}}.items():
        text = hastened(substituted(f"prometheus/rules/{name}", changes), factor)
        (folder / name).write_text(text, encoding="utf-8")
    return folder


def hastened(text: str, factor: int) -> str:
    """Return a configuration in which all durations, those in queries too, are divided by a factor."""
    return DURATION.sub(lambda found: f"{int(found[1]) * MILLISECONDS[found[2]] // factor}ms", text)
