"""The contestants, and their start."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.nginx import nginx
from bench.processes import child, free_port
from bench.scrape import FORMATS, Ask

OURS, PLAIN, BY_HAND, LIMIT = "ours", "plain OTel", "by hand", "limit"
OFF, PUSHED = "ours without OTLP", "ours, metrics pushed"


@dataclass(frozen=True)
class Contestant:
    """A program that polls the gateway and publishes its providers."""

    name: str
    arguments: Sequence[str]
    """Arguments of `python -m`."""


CONTESTANTS = (
    Contestant(OURS, ("exporter", "run")),
    Contestant(PLAIN, ("bench.plain_otel",)),
    Contestant(BY_HAND, ("bench.by_hand",)),
)
PAUSED = tuple(Contestant(f"{one.name}, paused", ("bench.paused", *one.arguments)) for one in CONTESTANTS[:2])
"""The contestants with the OpenTelemetry reader, with a pause in the reader."""
QUIET_INTERVAL = 3600.0
"""Seconds; a contestant polls only once."""
STALE_AFTER = "36000"

LIMIT_HTTP = "map $http_accept $exposition { default text; ~openmetrics openmetrics; }"
LIMIT_SERVER = "location = /metrics { gzip_static on; default_type text/plain; try_files /$exposition =404; }"


@dataclass(frozen=True)
class Running:
    """A running contestant."""

    name: str
    url: str
    pid: int
    log: Path


@contextmanager
def start(
    contestant: Contestant,
    gateway_url: str,
    folder: Path,
    interval: float = QUIET_INTERVAL,
    more: Mapping[str, str] | None = None,
) -> Iterator[Running]:
    """Run a contestant until the block ends.

    Args:
        contestant: The program.
        gateway_url: URL of the gateway.
        folder: Folder for the log.
        interval: Seconds between polls.
        more: Further environment variables.
    """
    port = free_port()
    environment = {
        "GATEWAY_API_URL": gateway_url,
        "ADMIN_KEY": "sesame",
        "SCRAPE_INTERVAL": f"{interval:g}",
        # On a loaded machine a poll can take several intervals.
        "STALE_AFTER": STALE_AFTER,
        "METRICS_HOST": "127.0.0.1",
        "METRICS_PORT": str(port),
        **(more or {}),
    }
    log = folder / f"{contestant.arguments[0]}.log"
    with child([sys.executable, "-m", *contestant.arguments], environment, log) as process:
        yield Running(contestant.name, f"http://127.0.0.1:{port}", process.pid, log)


@contextmanager
def start_limit(folder: Path, bodies: Mapping[Ask, bytes]) -> Iterator[Running]:
    """Run nginx with the exposition as static files until the block ends."""
    folder.mkdir(exist_ok=True)
    for ask, body in bodies.items():
        (folder / f"{FORMATS[ask.format].file}{'.gz' if ask.gzip else ''}").write_bytes(body)
    with nginx(folder, LIMIT_SERVER, LIMIT_HTTP) as server:
        yield Running(LIMIT, server.url, server.process.pid, folder / "nginx.log")
