"""Removes auto-instrumentation agents with another OpenTelemetry version from PYTHONPATH.

The OpenTelemetry operator for Kubernetes injects such an agent. A mix of two versions fails at import. The
exporter needs no agent: it has its own instrumentation.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path


def remove_agents(environ: Mapping[str, str]) -> None:
    """Restart this process without the directories of PYTHONPATH with another OpenTelemetry, if any."""
    entries = [entry for entry in environ.get("PYTHONPATH", "").split(os.pathsep) if entry]
    agents = tuple(_agents(entries)) if entries else ()
    if not agents:
        return
    others = [entry for entry in entries if not any(Path(entry).is_relative_to(agent) for agent in agents)]
    message = (
        f"provider-metrics-exporter: PYTHONPATH: {', '.join(map(str, agents))} is ignored, since it has "
        "another version of OpenTelemetry: the exporter has its own instrumentation and needs no agent.\n"
    )
    sys.stderr.write(message)
    sys.stderr.flush()
    # Modules that are already imported cannot be replaced in this process.
    os.execve(  # noqa: S606
        sys.executable,
        [sys.executable, *sys.orig_argv[1:]],
        {**environ, "PYTHONPATH": os.pathsep.join(others)},
    )


def _agents(entries: list[str]) -> Iterator[Path]:
    """Yield the directories of PYTHONPATH with a version of OpenTelemetry that is not the installed one."""
    # A slow import, for a variable that is rarely set.
    from importlib.metadata import distributions

    versions = {
        Path(str(found.locate_file(""))): found.version for found in distributions(name="opentelemetry-api")
    }
    listed = {Path(entry) for entry in entries}
    installed = {version for folder, version in versions.items() if folder not in listed}
    for folder, version in versions.items():
        if installed and folder in listed and version not in installed:
            yield folder
