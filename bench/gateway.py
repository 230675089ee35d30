"""A stub of the gateway: static files from nginx, so that its cost is negligible."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.fleet import Documents
from bench.nginx import nginx

SERVER = """
        default_type application/json;
        location = /providers { access_log polls.log polls; try_files /current/providers.json =404; }
        location = /providers/stats { try_files /current/stats.json =404; }
"""


@dataclass(frozen=True)
class Gateway:
    """Serves one moment of a fleet at a time, without authentication."""

    url: str
    folder: Path

    def show(self, moment: int) -> None:
        """Switch to another moment of the fleet atomically."""
        link = self.folder / "next"
        link.symlink_to(str(moment))
        link.replace(self.folder / "current")

    @contextmanager
    def cycling(self, moments: int, seconds: float) -> Iterator[None]:
        """Cycle through the moments, each for `seconds`, until the block ends."""
        stopping = threading.Event()
        thread = threading.Thread(target=self._cycle, args=(moments, seconds, stopping))
        thread.start()
        try:
            yield
        finally:
            stopping.set()
            thread.join()

    def polls(self, since: float) -> Sequence[float]:
        """Return the Unix times of requests for the list since a Unix time."""
        lines = (self.folder / "polls.log").read_text(encoding="ascii").splitlines()
        ends_and_durations = (line.split()[:2] for line in lines)
        begins = [float(end) - float(duration) for end, duration in ends_and_durations]
        return [begin for begin in begins if begin >= since]

    def wait_for_poll(self, since: float, seconds: float) -> float:
        """Wait for the first poll since a Unix time, and return its Unix time."""
        deadline = time.monotonic() + seconds
        while not (polls := self.polls(since)):
            if time.monotonic() > deadline:
                raise RuntimeError(f"no poll within {seconds:g} s")
            time.sleep(0.01)
        return polls[0]

    def _cycle(self, moments: int, seconds: float, stopping: threading.Event) -> None:
        moment = 0
        while not stopping.wait(seconds):
            moment = (moment + 1) % moments
            self.show(moment)


@contextmanager
def gateway(folder: Path, moments: Sequence[Documents]) -> Iterator[Gateway]:
    """Serve a fleet, starting with its first moment, until the block ends."""
    for number, documents in enumerate(moments):
        place = folder / str(number)
        place.mkdir(parents=True)
        (place / "providers.json").write_bytes(documents.providers)
        (place / "stats.json").write_bytes(documents.stats)
    (folder / "polls.log").touch()
    with nginx(folder, SERVER) as server:
        running = Gateway(server.url, folder)
        running.show(0)
        yield running
