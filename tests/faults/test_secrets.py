"""Whatever fails, nothing that one can look at has a secret in it: key, header for OTLP, proxy password."""

from __future__ import annotations

import base64
import threading
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests

from exporter.clock import SystemClock
from exporter.config.settings import load_settings
from exporter.errors import GatewayError
from exporter.gateway.client import GatewayClient
from exporter.model.endpoints import Endpoint
from exporter.transport.authorities import Authorities
from tests.faults.cases import ALL, CASES, Case
from tests.faults.certificates import write_authority
from tests.faults.peer import Gateway, State
from tests.keys import fixed_key
from tests.otlp import OtlpReceiver
from tests.process import Program, program, run_program
from tests.replay import LIST, LIST_NO_SLASH, STATS, ReplayGateway, answer, recording

WORD = "sesame"
"""Is in every secret."""
KEY, NEW_KEY = f"{WORD}-admin-key", f"{WORD}-rotated-key"
OTLP_HEADER = f"{WORD}-collector"
PASSWORD = f"{WORD}-proxy"
ENCODED = base64.b64encode(f"user:{PASSWORD}".encode()).decode()
SECRETS = (WORD, ENCODED)
CAPTURE = "OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_CLIENT_REQUEST"
INTERVAL = 0.2
PATIENCE = 60.0
PLAIN = [case for case in ALL if not case.https]
VIEWS = (
    ("/metrics", "text/plain"),
    ("/metrics", "application/openmetrics-text"),
    ("/", "text/html"),
    ("/-/healthy", "*/*"),
    ("/-/ready", "*/*"),
    ("/nowhere", "*/*"),
)


def found_in(text: str) -> list[str]:
    """Return the secrets that a text shows."""
    return [secret for secret in SECRETS if secret.lower() in text.lower()]


def views(running: Program, url: str) -> Iterator[str]:
    """Yield everything that a stranger and a neighbour can look at."""
    for path, accept in VIEWS:
        response = requests.get(f"{url}{path}", headers={"Accept": accept}, timeout=PATIENCE)
        yield f"{response.headers}\n{response.text}"
    yield Path(f"/proc/{running.process.pid}/cmdline").read_text(encoding="utf-8")


def fetches(url: str) -> float:
    """Return how many fetches were counted."""
    lines = requests.get(f"{url}/metrics", timeout=PATIENCE).text.splitlines()
    return sum(
        float(line.split()[-1]) for line in lines if line.startswith("gatewayz_exporter_fetches_total")
    )


def wait_for_polls(url: str) -> None:
    """Wait until a poll has begun and ended since now: the next one to end may have begun before."""
    enough, deadline = fetches(url) + 4, time.monotonic() + PATIENCE
    while fetches(url) < enough:
        assert time.monotonic() < deadline
        time.sleep(INTERVAL / 4)


@contextmanager
def exporter(gateway_url: str, receiver: OtlpReceiver, **variables: str) -> Iterator[Program]:
    """Run the program with everything turned on that might tell something."""
    everything = {
        "GATEWAY_API_URL": gateway_url,
        "METRICS_HOST": "127.0.0.1",
        "METRICS_PORT": "0",
        "SCRAPE_INTERVAL": f"{INTERVAL}",
        "LOG_LEVEL": "debug",
        "OTEL_METRICS_EXPORTER": "otlp",
        "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url,
        "OTEL_EXPORTER_OTLP_HEADERS": f"x-key={OTLP_HEADER}",
        CAPTURE: ".*",
        CAPTURE.replace("CLIENT", "SERVER"): ".*",
        **variables,
    }
    with program(**everything) as running:
        yield running


def told(running: Program, receiver: OtlpReceiver) -> str:
    """Return all that was logged and all that was sent to the collector."""
    sent = (*receiver.spans, *receiver.records, *receiver.metrics, *receiver.resources)
    return "".join((*running.output, *map(str, sent)))


def test_run_with_every_fault(tmp_path: Path) -> None:
    """In a run through all faults, with a key that is rotated in between, no secret shows itself."""
    key_file = tmp_path / "key"
    key_file.write_text(KEY, encoding="utf-8")
    shown: dict[str, list[str]] = {}
    with (
        Gateway() as gateway,
        OtlpReceiver() as receiver,
        exporter(f"http://{gateway.address}", receiver, ADMIN_KEY_FILE=str(key_file)) as running,
    ):
        url = running.url()
        for case in PLAIN:
            gateway.become(case.state)
            wait_for_polls(url)
            shown[case.name] = [secret for view in views(running, url) for secret in found_in(view)]
        gateway.become(State())
        key_file.write_text(NEW_KEY, encoding="utf-8")
        running.record("Admin key reloaded", PATIENCE)
        wait_for_polls(url)
        running.end()

    keys = {request.headers["Authorization"] for request in gateway.asked}
    assert {f"Bearer {KEY}", f"Bearer {NEW_KEY}"} == keys
    assert OTLP_HEADER in {headers["x-key"] for headers in receiver.headers}
    assert {} == {name: secrets for name, secrets in shown.items() if secrets}
    assert [] == found_in(told(running, receiver))
    # The run was worth it: debug records, failures, spans and metrics are in what was searched.
    assert '"level":"debug"' in told(running, receiver).replace(" ", "")
    assert "Fetch failed" in told(running, receiver)
    assert "gatewayz_up" in told(running, receiver)
    assert "http.request.header.authorization" in told(running, receiver)


PROXIES = {
    "good": {
        f"http://gateway.example{target}": recording(name)
        for target, name in (
            (LIST_NO_SLASH, "04-list-include-inactive.http"),
            (LIST, "04-list-include-inactive.http"),
            (STATS, "07-stats.http"),
        )
    },
    "refusing": {
        f"http://gateway.example{target}": answer(407, proxy_authenticate="Basic")
        for target in (LIST_NO_SLASH, STATS)
    },
    "closing": {},
}


@pytest.mark.parametrize("kind", PROXIES)
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_proxy_with_a_password(kind: str, scheme: str) -> None:
    """The password of a proxy, good or bad, reaches the proxy and shows itself nowhere else."""
    with ReplayGateway(answers=dict(PROXIES[kind])) as proxy, OtlpReceiver() as receiver:
        if kind == "refusing":
            proxy.answers["gateway.example:443"] = answer(407, proxy_authenticate="Basic")
        variables = {f"{scheme.upper()}_PROXY": proxy.url.replace("//", f"//user:{PASSWORD}@")}
        with exporter(
            f"{scheme}://gateway.example", receiver, ADMIN_KEY=KEY, NO_PROXY="127.0.0.1", **variables
        ) as running:
            url = running.url()
            wait_for_polls(url)
            shown = [secret for view in views(running, url) for secret in found_in(view)]
            running.end()

    assert {f"Basic {ENCODED}"} == {request.headers.get("Proxy-Authorization") for request in proxy.asked}
    assert [] == shown
    assert [] == found_in(told(running, receiver))


@pytest.mark.parametrize(
    "arguments", [["check"], ["check", "--json"], ["--help"], ["healthcheck"]], ids=" ".join
)
def test_commands(arguments: list[str]) -> None:
    """No command shows a secret, be it well or not."""
    with Gateway() as gateway:
        for name in (None, "status-401", "refused", "tls-on-plain"):
            gateway.become(CASES[name].state if name else State())
            result = run_program(
                *arguments,
                GATEWAY_API_URL=f"http://{gateway.address}",
                ADMIN_KEY=KEY,
                METRICS_PORT="9",
                OTEL_EXPORTER_OTLP_HEADERS=f"x-key={OTLP_HEADER}",
            )

            assert [] == found_in(result.stdout + result.stderr)


@pytest.mark.parametrize("case", ALL, ids=[case.name for case in ALL])
def test_exceptions(case: Case, tmp_path: Path) -> None:
    """No exception of a fetch has a secret in its text, its `repr`, its causes or its traceback."""
    authorities = Authorities("REQUESTS_CA_BUNDLE", write_authority(tmp_path / "ca.pem"))
    with Gateway() as gateway:
        gateway.become(case.state)
        url = f"{'https' if case.https else 'http'}://{gateway.address}"
        settings = load_settings({"GATEWAY_API_URL": url, "ADMIN_KEY": KEY})
        texts = [repr(settings), str(settings)]
        for endpoint in Endpoint:
            client = GatewayClient(endpoint, url, fixed_key(KEY), SystemClock(), authorities)
            texts += [repr(client), repr(vars(client))]
            texts += errors(client)
            client.close()

    assert [] == found_in("".join(texts))


def errors(client: GatewayClient) -> list[str]:
    """Return all that is said of a failed fetch, nothing of a good one."""
    timer = threading.Timer(0.5, client.abort)
    timer.start()
    try:
        client.get(SystemClock().age() + 0.5)
    except GatewayError as error:
        return [str(error), repr(error), error.hint, *traceback.format_exception(error)]
    finally:
        timer.cancel()
    return []
