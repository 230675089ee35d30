"""No output contains a secret after any fault: admin key, OTLP headers, password of the proxy."""

from __future__ import annotations

import base64
import threading
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
from tests.faults.outside import parsed
from tests.faults.peer import Gateway, State
from tests.keys import fixed_key
from tests.otlp import OtlpReceiver
from tests.process import Program, program, run_program
from tests.replay import GOOD, LIST, LIST_NO_SLASH, STATS, ReplayGateway, answer, recording
from tests.waiting import wait_until

WORD = "sesame"
"""A part of every secret."""
KEY, NEW_KEY = f"{WORD}-admin-key", f"{WORD}-rotated-key"
OTLP_HEADER = f"{WORD}-collector"
PASSWORD = f"{WORD}-proxy"
ENCODED = base64.b64encode(f"user:{PASSWORD}".encode()).decode()
CAPTURE = "OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_{}_REQUEST"
INTERVAL = 0.2
PATIENCE = 60.0
VIEWS = (
    *(("/metrics", "text/plain"), ("/metrics", "application/openmetrics-text"), ("/", "text/html")),
    *(("/-/healthy", "*/*"), ("/-/ready", "*/*"), ("/nowhere", "*/*")),
)


def found_in(text: str) -> list[str]:
    """Return the secrets in a text."""
    return [secret for secret in (WORD, ENCODED) if secret.lower() in text.lower()]


def shown(running: Program, url: str) -> list[str]:
    """Return the secrets in all responses and in the command line of the process."""
    texts = [Path(f"/proc/{running.process.pid}/cmdline").read_text(encoding="utf-8")]
    for path, accept in VIEWS:
        response = requests.get(f"{url}{path}", headers={"Accept": accept}, timeout=PATIENCE)
        texts.append(f"{response.headers}\n{response.text}")
    return [secret for text in texts for secret in found_in(text)]


def fetches(url: str) -> float:
    """Return the number of fetches."""
    samples = parsed(requests.get(f"{url}/metrics", timeout=PATIENCE).text)
    return sum(value for (name, _), value in samples.items() if name == "gatewayz_exporter_fetches_total")


def wait_for_polls(url: str) -> None:
    """Wait until a poll has begun and ended: the next one to end may have begun before."""
    enough = fetches(url) + 4
    wait_until(lambda: fetches(url) >= enough, PATIENCE)


@contextmanager
def exporter(gateway_url: str, receiver: OtlpReceiver, **variables: str) -> Iterator[Program]:
    """Run the exporter with every output that might contain a secret."""
    everything = {
        "GATEWAY_API_URL": gateway_url,
        "METRICS_HOST": "127.0.0.1",
        "METRICS_PORT": "0",
        "SCRAPE_INTERVAL": f"{INTERVAL}",
        "LOG_LEVEL": "debug",
        "OTEL_METRICS_EXPORTER": "otlp",
        "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url,
        "OTEL_EXPORTER_OTLP_HEADERS": f"x-key={OTLP_HEADER}",
        **{CAPTURE.format(side): ".*" for side in ("CLIENT", "SERVER")},
        **variables,
    }
    with program(**everything) as running:
        yield running


def emitted(running: Program, receiver: OtlpReceiver) -> str:
    """Return everything that was logged and sent to the collector."""
    sent = (*receiver.spans, *receiver.records, *receiver.metrics, *receiver.resources)
    return "".join((*running.output, *map(str, sent)))


def test_every_fault(tmp_path: Path) -> None:
    """No output contains a secret during all faults and a rotation of the admin key."""
    key_file = tmp_path / "key"
    key_file.write_text(KEY, encoding="utf-8")
    found: dict[str, list[str]] = {}
    with (
        Gateway() as gateway,
        OtlpReceiver() as receiver,
        exporter(gateway.url, receiver, ADMIN_KEY_FILE=str(key_file)) as running,
    ):
        url = running.url()
        for case in ALL:
            if not case.https:
                gateway.become(case.state)
                wait_for_polls(url)
                found[case.name] = shown(running, url)
        gateway.become(State())
        key_file.write_text(NEW_KEY, encoding="utf-8")
        running.record("Admin key reloaded", PATIENCE)
        wait_for_polls(url)
        running.end()

    assert {f"Bearer {KEY}", f"Bearer {NEW_KEY}"} == {asked.authorization for asked in gateway.asked}
    assert OTLP_HEADER in {headers["x-key"] for headers in receiver.headers}
    assert {} == {name: secrets for name, secrets in found.items() if secrets}
    text = emitted(running, receiver)
    assert [] == found_in(text)
    # Debug records, failures, metrics and spans are in the text.
    for part in ('"level":"debug"', "Fetchfailed", "gatewayz_up", "http.request.header.authorization"):
        assert part in text.replace(" ", "")


REFUSAL = answer(407, proxy_authenticate="Basic")
ROOT = "http://gateway.example"
RECORDED = {target: recording(GOOD[LIST] if target == LIST_NO_SLASH else GOOD[target]) for target in GOOD}
PROXIES = {
    "good": {f"{ROOT}{target}": body for target, body in RECORDED.items()},
    "refusing": dict.fromkeys((f"{ROOT}{LIST_NO_SLASH}", f"{ROOT}{STATS}", "gateway.example:443"), REFUSAL),
    "closing": {},
}


@pytest.mark.parametrize("kind", PROXIES)
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_proxy_with_a_password(kind: str, scheme: str) -> None:
    """The password of a proxy is sent to the proxy, and appears nowhere else."""
    with ReplayGateway(answers=PROXIES[kind]) as proxy, OtlpReceiver() as receiver:
        variables = {f"{scheme.upper()}_PROXY": proxy.url.replace("//", f"//user:{PASSWORD}@")}
        with exporter(
            f"{scheme}://gateway.example", receiver, ADMIN_KEY=KEY, NO_PROXY="127.0.0.1", **variables
        ) as running:
            url = running.url()
            wait_for_polls(url)
            assert [] == shown(running, url)
            running.end()

    assert {f"Basic {ENCODED}"} == {request.headers.get("Proxy-Authorization") for request in proxy.asked}
    assert [] == found_in(emitted(running, receiver))


@pytest.mark.parametrize("command", ["check", "check --json", "--help", "healthcheck"])
def test_commands(command: str) -> None:
    """No command prints a secret, whether it succeeds or fails."""
    with Gateway() as gateway:
        variables = {"GATEWAY_API_URL": gateway.url, "ADMIN_KEY": KEY, "METRICS_PORT": "9"}
        variables["OTEL_EXPORTER_OTLP_HEADERS"] = f"x-key={OTLP_HEADER}"
        for state in (State(), *(CASES[name].state for name in ("status-401", "refused", "tls-on-plain"))):
            gateway.become(state)
            result = run_program(*command.split(), **variables)

            assert [] == found_in(result.stdout + result.stderr)


@pytest.mark.parametrize("case", ALL, ids=[case.name for case in ALL])
def test_exceptions(case: Case, tmp_path: Path) -> None:
    """No exception of a fetch contains a secret in its text, `repr`, causes or traceback."""
    authorities = Authorities("REQUESTS_CA_BUNDLE", write_authority(tmp_path / "ca.pem"))
    with Gateway() as gateway:
        gateway.become(case.state)
        url = f"{'https' if case.https else 'http'}://{gateway.address}"
        settings = load_settings({"GATEWAY_API_URL": url, "ADMIN_KEY": KEY})
        texts = [repr(settings), str(settings)]
        for endpoint in Endpoint:
            client = GatewayClient(endpoint, url, fixed_key(KEY), SystemClock(), authorities)
            texts += [repr(client), repr(vars(client)), *errors(client)]
            client.close()

    assert [] == found_in("".join(texts))


def errors(client: GatewayClient) -> list[str]:
    """Return all texts of a failed fetch; none of a successful one."""
    timer = threading.Timer(0.5, client.abort)
    timer.start()
    try:
        client.get(SystemClock().age() + 0.5)
    except GatewayError as error:
        return [str(error), repr(error), error.hint, *traceback.format_exception(error)]
    finally:
        timer.cancel()
    return []
