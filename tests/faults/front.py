"""The exporter's parts put together, with the real web server in front of them, scraped over HTTP."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import requests
from prometheus_client.parser import text_string_to_metric_families

from exporter.config.settings import Settings, WebSettings, load_settings
from exporter.web.listeners import bind
from exporter.web.routes import Web
from exporter.web.server import Server
from exporter.web.status import StatusPage
from tests.clocks import RunningClock
from tests.faults.peer import PATIENCE
from tests.rig import Rig, rig

KEY = "test-admin-key"

Labels = tuple[tuple[str, str], ...]
Scrape = Mapping[tuple[str, Labels], float]
"""Every sample, by name and labels."""


def series(name: str, /, **labels: str) -> tuple[str, Labels]:
    """Return the key of a sample in a scrape."""
    return name, tuple(sorted(labels.items()))


@dataclass(frozen=True)
class Front:
    """An exporter whose polls the test asks for, and whose `/metrics` is read over a socket."""

    rig: Rig
    url: str

    def poll(self) -> None:
        """Poll once, and wait until what its deadline left behind has ended."""
        self.rig.poller.poll_once()
        settle()

    def get(self, path: str, accept: str = "text/plain") -> str:
        """Return the text of a page, which has to be there."""
        response = requests.get(self.url + path, headers={"Accept": accept}, timeout=PATIENCE)
        response.raise_for_status()
        response.encoding = "utf-8"
        return response.text

    def scrape(self) -> Scrape:
        """Return what `/metrics` says."""
        return parsed(self.get("/metrics"))


def parsed(text: str) -> Scrape:
    """Return the samples of an exposition."""
    families = text_string_to_metric_families(text)
    return {series(s.name, **s.labels): s.value for family in families for s in family.samples}


def settle() -> None:
    """Wait until no fetch runs: where its poll has ended by the deadline, its thread ends a moment later."""
    deadline = time.monotonic() + PATIENCE
    while running := [thread for thread in threading.enumerate() if thread.name.startswith("fetch-")]:
        assert time.monotonic() < deadline, f"still there: {running}"
        running[0].join(0.1)


def settings_for(url: str, **variables: str) -> Settings:
    """Return settings for a gateway, with the authorities of this process's environment."""
    authorities = {"REQUESTS_CA_BUNDLE": os.environ.get("REQUESTS_CA_BUNDLE", "")}
    return load_settings({"GATEWAY_API_URL": url, "ADMIN_KEY": KEY, **authorities, **variables})


@contextmanager
def front(settings: Settings) -> Iterator[Front]:
    """Serve an exporter on a free port of the loopback."""
    clock = RunningClock()
    with rig(settings, clock, export=False) as put_together:
        web = Web(put_together.poller.published, clock, StatusPage(settings.interval))
        listener = bind(WebSettings("127.0.0.1", 0))
        server = Server(web.app())
        thread = threading.Thread(target=server.run, args=([listener],), name="web")
        thread.start()
        try:
            yield Front(put_together, f"http://127.0.0.1:{listener.getsockname()[1]}")
        finally:
            server.should_exit = True
            thread.join(PATIENCE)
            listener.close()
