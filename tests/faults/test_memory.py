"""Memory for the largest bodies: the exporter stays below its limit."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from exporter.errors import Outcome
from exporter.model.endpoints import MEBIBYTE, Endpoint
from tests.faults.cases import CASES, OPEN_END
from tests.faults.matrix import Matrix, Row
from tests.faults.outside import exporter
from tests.faults.peer import Gateway, State, Streams, list_only

MAX_MEMORY = 160 * MEBIBYTE
"""Above the memory of an idle exporter; docker-compose.yml limits both to 256 MiB."""


def filled(text: bytes, head: bytes = b"[", tail: bytes = b"]") -> State:
    """Answer with a list just below the size limit that repeats `text`."""
    chunk = text * (MEBIBYTE // len(text))
    times = Endpoint.PROVIDERS.max_bytes // len(chunk) - 1
    return State(list_only(Streams(OPEN_END + head, chunk, times, tail)))


BODIES: Mapping[str, tuple[str, Outcome, State]] = {
    **{
        name: (CASES[name].title, Outcome.TOO_LARGE, CASES[name].state)
        for name in ("endless", "bomb", "bomb-in-bomb")
    },
    "objects": (
        "63 MiB of `{},{},...`, parsed 1.6 GiB",
        Outcome.TOO_LARGE,
        filled(b"{},", tail=b"{}]"),
    ),
    "not-json": ("63 MiB that are not JSON", Outcome.NOT_JSON, filled(b"x", tail=b"")),
    "one-text": ("63 MiB in one string", Outcome.WRONG_SHAPE, filled(b"x", head=b'["', tail=b'"]')),
    "blanks": ("63 MiB of whitespace in a valid list", Outcome.OK, filled(b" ", head=b'[{"slug":"a"}')),
}


@pytest.mark.parametrize("name", BODIES)
def test_large_body(name: str, tmp_path: Path, matrix: Matrix) -> None:
    """The largest bodies have their outcome, and need less memory than the limit."""
    title, outcome, state = BODIES[name]
    message = "Provider appeared" if outcome is Outcome.OK else "Fetch failed"
    settings = {"SCRAPE_INTERVAL": "10", "FETCH_TIMEOUT": "8"}
    with Gateway() as gateway, exporter(gateway, tmp_path / "log", settings) as running:
        running.wait_for("Updated provider metrics")
        gateway.become(state)
        idle = running.reset_peak()
        record = running.wait_for(message, 60)
        growth = running.memory("VmHWM") - idle

        assert growth < MAX_MEMORY, f"{growth / MEBIBYTE:.0f} MiB"
        assert outcome.value == record.get("outcome", "ok")
        assert 0 == running.end()
    log = "Updated provider metrics" if outcome is Outcome.OK else "Fetch failed"
    metrics = "less than 160 MiB of memory above idle"
    matrix(Row("Large bodies", list(BODIES).index(name), title, outcome.value, metrics, log))
