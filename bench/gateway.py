"""A stub of the gateway: static files from nginx, so that its cost is negligible."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path

from bench.fleet import Documents, Moment
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

    def show(self, moment: Moment) -> None:
        """Switch to another moment of the fleet atomically."""
        link = self.folder / "next"
        link.symlink_to(str(int(moment)))
        link.replace(self.folder / "current")

    @contextmanager
    def alternating(self, later: Moment, seconds: float) -> Iterator[None]:
        """Alternate between the first moment and another, each for `seconds`, until the block ends."""
        stopping = threading.Event()
        thread = threading.Thread(target=self._alternate, args=(later, seconds, stopping))
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

    def _alternate(self, later: Moment, seconds: float, stopping: threading.Event) -> None:
        for moment in cycle((later, Moment.FIRST)):
            if stopping.wait(seconds):
                return
            self.show(moment)


@contextmanager
def gateway(folder: Path, moments: Mapping[Moment, Documents]) -> Iterator[Gateway]:
    """Serve a fleet, starting with its first moment, until the block ends."""
    for moment, documents in moments.items():
        place = folder / str(int(moment))
        place.mkdir(parents=True)
        (place / "providers.json").write_bytes(documents.providers)
        (place / "stats.json").write_bytes(documents.stats)
    (folder / "polls.log").touch()
    with nginx(folder, SERVER) as server:
        running = Gateway(server.url, folder)
        running.show(Moment.FIRST)
        yield running
