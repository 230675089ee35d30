"""`healthcheck` asks the exporter that runs on this machine."""

from __future__ import annotations

import pytest

from exporter.healthcheck import probe
from exporter.settings import WebSettings
from tests.process import run_program
from tests.replay import ReplayGateway, answer


def port_of(gateway: ReplayGateway) -> int:
    """Return the port of a server that stands for the exporter."""
    return int(gateway.url.rsplit(":", 1)[1])


@pytest.mark.parametrize("host", ["127.0.0.1", "::", "0.0.0.0", "localhost"])
def test_healthy(gateway: ReplayGateway, host: str) -> None:
    """An exporter that answers 200 is healthy, on whatever address it listens."""
    gateway.answers["/-/healthy"] = answer(200, b"The poll loop turns.\n")

    assert (True, "The poll loop turns.") == probe(WebSettings(host, port_of(gateway)))


def test_unhealthy(gateway: ReplayGateway) -> None:
    """An exporter that answers 503 is not."""
    gateway.answers["/-/healthy"] = answer(503, b"The poller hangs.\n")

    assert (False, "The poller hangs.") == probe(WebSettings("127.0.0.1", port_of(gateway)))


def test_nobody_there(gateway: ReplayGateway) -> None:
    """No answer is not healthy either, and the port is named."""
    healthy, text = probe(WebSettings("::1", port_of(gateway)))

    assert (False, f"no answer on port {port_of(gateway)}: ConnectionError") == (healthy, text)


def test_proxy_is_not_asked(gateway: ReplayGateway, monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy in the environment is for the gateway, not for this."""
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    gateway.answers["/-/healthy"] = answer(200)

    assert probe(WebSettings("127.0.0.1", port_of(gateway)))[0]


@pytest.mark.parametrize(("status", "code"), [(200, 0), (307, 1), (503, 1)])
def test_exit_codes(gateway: ReplayGateway, status: int, code: int) -> None:
    """The command exits with 0 or 1, and needs no setting of the gateway."""
    gateway.answers["/-/healthy"] = answer(status, b"text")

    result = run_program("healthcheck", METRICS_PORT=str(port_of(gateway)))

    assert (code, "text\n") == (result.returncode, result.stdout + result.stderr)
