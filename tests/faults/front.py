"""The parts of the exporter with the real web server, scraped over HTTP."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import requests

from exporter.config.settings import WebSettings, load_settings
from exporter.web.listeners import bind
from exporter.web.page.pages import StatusPage
from exporter.web.routes import Web
from exporter.web.server import Server
from tests.clocks import RunningClock
from tests.faults.outside import KEY, PATIENCE, Scrape, parsed
from tests.http_server import HOST
from tests.rig import Rig, rig
from tests.waiting import wait_until


@dataclass(frozen=True)
class Front:
    """An exporter that polls when the test requests it, and serves `/metrics` on a socket."""

    rig: Rig
    url: str

    def poll(self) -> None:
        """Poll once, and wait until no fetch runs: after a deadline its thread ends a moment later."""
        self.rig.poller.poll_once()
        wait_until(lambda: not any(thread.name.startswith("fetch-") for thread in threading.enumerate()))

    def get(self, path: str, accept: str = "text/plain") -> str:
        """Return the text of a page, which must exist."""
        response = requests.get(self.url + path, headers={"Accept": accept}, timeout=PATIENCE)
        response.raise_for_status()
        response.encoding = "utf-8"
        return response.text

    def scrape(self) -> Scrape:
        """Return the samples of `/metrics`."""
        return parsed(self.get("/metrics"))


@contextmanager
def front(gateway_url: str, **variables: str) -> Iterator[Front]:
    """Serve an exporter on a free port, with the CAs of this process's environment."""
    authorities = {"REQUESTS_CA_BUNDLE": os.environ.get("REQUESTS_CA_BUNDLE", "")}
    settings = load_settings({"GATEWAY_API_URL": gateway_url, "ADMIN_KEY": KEY, **authorities, **variables})
    clock = RunningClock()
    with rig(settings, clock, export=False) as running:
        web = Web(running.poller.published, running.poller.history, clock, StatusPage(settings.interval))
        listener = bind(WebSettings(HOST, 0))
        server = Server(web.app())
        thread = threading.Thread(target=server.run, args=([listener],), name="web")
        thread.start()
        try:
            yield Front(running, f"http://{HOST}:{listener.getsockname()[1]}")
        finally:
            server.should_exit = True
            thread.join(PATIENCE)
            listener.close()
