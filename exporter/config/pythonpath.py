"""Agents that instrument a Python program from outside, by PYTHONPATH, with an OpenTelemetry of their own.

The OpenTelemetry operator for Kubernetes injects such an agent. Parts of two versions do not fit together: an
import fails. The exporter needs no agent, since it makes its own telemetry.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path


def leave_out_agents(environ: Mapping[str, str]) -> None:
    """Start this process again without the folders of PYTHONPATH that hold another OpenTelemetry, if any."""
    entries = [entry for entry in environ.get("PYTHONPATH", "").split(os.pathsep) if entry]
    agents = tuple(_agents(entries)) if entries else ()
    if not agents:
        return
    others = [entry for entry in entries if not any(Path(entry).is_relative_to(agent) for agent in agents)]
    message = (
        f"provider-metrics-exporter: PYTHONPATH: {', '.join(map(str, agents))} is ignored, since it holds "
        "another version of OpenTelemetry: the exporter makes its own telemetry and needs no agent.\n"
    )
    sys.stderr.write(message)
    sys.stderr.flush()
    # What was imported from there cannot be taken back in this process.
    os.execve(  # noqa: S606
        sys.executable,
        [sys.executable, *sys.orig_argv[1:]],
        {**environ, "PYTHONPATH": os.pathsep.join(others)},
    )


def _agents(entries: list[str]) -> Iterator[Path]:
    """Yield the folders of PYTHONPATH whose OpenTelemetry is not of the version that is installed."""
    # Takes its time to import, and few people set PYTHONPATH.
    from importlib.metadata import distributions

    versions = {
        Path(str(found.locate_file(""))): found.version for found in distributions(name="opentelemetry-api")
    }
    listed = {Path(entry) for entry in entries}
    installed = {version for folder, version in versions.items() if folder not in listed}
    for folder, version in versions.items():
        if installed and folder in listed and version not in installed:
            yield folder
