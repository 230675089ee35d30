"""Tests of the whole program as a process: start, service, reload and shutdown."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from operator import attrgetter
from pathlib import Path

import pytest
import requests

from tests.certificates import PASSWORD, USER, Folder, hashed
from tests.otlp import OtlpReceiver
from tests.process import Program, environment, program, run_program
from tests.replay import ReplayGateway

KEY = "test-admin-key"
LIMIT_SECONDS = 5.0

REPORT_CONNECTIONS = """
import sys
def report(event, arguments):
    if event == "socket.connect" and isinstance(arguments[1], tuple):
        print("CONNECT", *arguments[1][:2], flush=True)
sys.addaudithook(report)
"""
"""Prints every address that the process connects to."""

KILL_POLLER = """
import exporter.poll.poller
def broken(self): raise ZeroDivisionError("a bug")
exporter.poll.poller.Poller.poll_once = broken
"""


def variables(gateway: ReplayGateway, **more: str) -> Mapping[str, str]:
    """Return an environment that points to the replaying gateway."""
    return {
        "GATEWAY_API_URL": gateway.url,
        "ADMIN_KEY": KEY,
        "METRICS_HOST": "127.0.0.1",
        "METRICS_PORT": "0",
        **more,
    }


def eventually(condition: Callable[[], bool]) -> None:
    """Wait until a condition holds."""
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def wait_until_ready(url: str) -> None:
    """Wait for the end of the first poll."""
    eventually(lambda: requests.get(f"{url}/-/ready", timeout=5).status_code == 200)


def stops_in_time(running: Program, number: signal.Signals = signal.SIGTERM) -> bool:
    """Send a signal; return whether the program exits with 0 within the limit."""
    code, seconds = running.end(number)
    return code == 0 and seconds < LIMIT_SECONDS


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "Ctrl-C"])
def test_life_of_the_program(gateway: ReplayGateway, number: signal.Signals) -> None:
    """Listens, polls, serves, and exits with 0 on a stop signal; without a file it has no access control."""
    with program(**variables(gateway, LOG_LEVEL="debug")) as running:
        listening = running.record("Listening")
        record = running.record("Updated provider metrics")
        running.process.send_signal(signal.SIGHUP)
        running.record("Nothing to reload")
        text = requests.get(f"http://127.0.0.1:{listening['port']}/metrics", timeout=5).text

        assert stops_in_time(running, number)

    assert [False, False] == [listening["tls"], listening["auth"]]
    assert (40, 32) == (record["providers_total"], len(record["trace_id"]))
    assert "\ngatewayz_up 1.0\n" in text
    assert "Stopped" == json.loads(running.output[-1])["message"]
    assert KEY not in "".join(running.output)


WAIT_FOR_PYTHON = """
import signal
from exporter import __main__
original = signal.signal
def report(number, handler):
    result = original(number, handler)
    if number == signal.SIGINT:
        print("ready", flush=True)
        signal.signal = original
    return result
signal.signal = report
"""
"""Prints a line when the program has installed its signal handlers: before, Python handles signals."""


@pytest.mark.parametrize("delay", [0.0, 0.2, 0.5])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP], ids=["SIGTERM", "SIGHUP"])
def test_signal_during_the_start(gateway: ReplayGateway, number: signal.Signals, delay: float) -> None:
    """During the start SIGTERM exits with 0, and SIGHUP has no effect."""
    with program(code=WAIT_FOR_PYTHON, **variables(gateway)) as running:
        eventually(lambda: bool(running.output))
        time.sleep(delay)
        if number is signal.SIGHUP:
            running.process.send_signal(number)
            running.record("Updated provider metrics")

        assert stops_in_time(running)


def test_exported_telemetry(gateway: ReplayGateway) -> None:
    """Queued spans and records are exported at shutdown, without credentials and records about the export."""
    with OtlpReceiver() as receiver:
        more = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url,
            "OTEL_BSP_SCHEDULE_DELAY": "60000",
            "OTEL_BLRP_SCHEDULE_DELAY": "50",
            "OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_CLIENT_REQUEST": ".*",
            "OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_SERVER_REQUEST": ".*",
            "LOG_LEVEL": "debug",
        }
        with program(**variables(gateway, **more)) as running:
            url = running.url()
            record = running.record("Updated provider metrics")
            requests.get(f"{url}/metrics", headers={"Authorization": "Basic sesame"}, timeout=5)
            # Records about the export would be exported with the next batch.
            eventually(lambda: bool(receiver.records))
            time.sleep(0.5)
            running.end()

    polls = [span for span in receiver.spans if span.name == "poll"]
    (scrape,) = [span for span in receiver.spans if span.name == "GET /metrics"]
    assert [record["trace_id"]] == [poll.trace_id.hex() for poll in polls]
    assert [polls[0].span_id] == [link.span_id for link in scrape.links]
    text = "".join(str(span) for span in receiver.spans)
    assert 4 == text.count("http.request.header.authorization")
    assert [] == [secret for secret in (KEY, "sesame") if secret in text]
    records = sorted(receiver.records, key=attrgetter("time_unix_nano"))
    bodies = [json.loads(sent.body.string_value) for sent in records]
    assert ["Listening", "Updated provider metrics", "Stopped"] == [
        body["message"] for body in bodies if body["level"] == "info"
    ]
    assert [] == [body for body in bodies if "/v1/logs" in str(body)]
    names = {attribute.key: attribute.value.string_value for attribute in receiver.resources[0].attributes}
    assert "provider-metrics-exporter" == names["service.name"]


def test_connections(gateway: ReplayGateway) -> None:
    """Without an OTLP endpoint the program connects only to the gateway; records still have trace ids."""
    with program(code=REPORT_CONNECTIONS, **variables(gateway)) as running:
        wait_until_ready(running.url())
        record = running.record("Updated provider metrics")
        running.end()

    expected = f"CONNECT {gateway.url.removeprefix('http://').replace(':', ' ')}\n"
    assert {expected} == {line for line in running.output if line.startswith("CONNECT")}
    levels = {json.loads(line)["level"] for line in running.output if line.startswith("{")}
    assert {"info"} == levels
    assert 32 == len(record["trace_id"])


def test_dead_receiver(gateway: ReplayGateway) -> None:
    """A dead OTLP endpoint causes one warning per minute, and has no other effect."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        dead = f"http://127.0.0.1:{server.getsockname()[1]}"
    more = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": dead,
        "OTEL_EXPORTER_OTLP_TIMEOUT": "1",
        "OTEL_BSP_SCHEDULE_DELAY": "100",
        "OTEL_BLRP_SCHEDULE_DELAY": "100",
        "SCRAPE_INTERVAL": "0.2",
    }
    with program(**variables(gateway, **more)) as running:
        url = running.url()
        warning = running.record("Telemetry not delivered")
        for _ in range(5):
            running.record("Updated provider metrics")
        text = requests.get(f"{url}/metrics", timeout=5).text
        assert stops_in_time(running)

    messages = [json.loads(line)["message"] for line in running.output if line.startswith("{")]
    assert 1 == messages.count("Telemetry not delivered")
    assert "OTEL_EXPORTER_OTLP_ENDPOINT" in warning["hint"]
    assert "\ngatewayz_up 1.0\n" in text


def test_death_of_the_poller(gateway: ReplayGateway) -> None:
    """An exception in the poll loop is logged, and the program exits with 1."""
    with program(code=KILL_POLLER, **variables(gateway)) as running:
        record = running.record("The poller died")
        code = running.process.wait(20)

    assert "critical" == record["level"]
    assert "ZeroDivisionError: a bug" in record["exc_info"]
    assert 1 == code


def test_blocked_output(gateway: ReplayGateway) -> None:
    """A blocked standard output does not delay shutdown."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(writer, b" " * 65536)
    os.set_blocking(writer, True)
    process = subprocess.Popen(
        [sys.executable, "-m", "exporter"], env=environment(**variables(gateway)), stdout=writer
    )
    # The fetch follows the first log record, whose write blocks.
    assert gateway.reached.wait(20)

    process.send_signal(signal.SIGTERM)
    begun = time.monotonic()
    code = process.wait(20)

    assert (0, True) == (code, time.monotonic() - begun < LIMIT_SECONDS)
    os.close(reader)
    os.close(writer)


def test_port_taken(gateway: ReplayGateway) -> None:
    """Exit code 3 and a message with the address."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = str(server.getsockname()[1])

        result = run_program(**variables(gateway, METRICS_PORT=port))

    assert (3, "") == (result.returncode, result.stdout)
    assert (
        f"provider-metrics-exporter: cannot listen on 127.0.0.1:{port} (METRICS_HOST and METRICS_PORT, or "
        "--web.listen-address): Address already in use\n"
    ) == result.stderr


def test_web_configuration_file(gateway: ReplayGateway, tmp_path: Path) -> None:
    """The file sets TLS and passwords; changes are reloaded, invalid ones are logged and ignored."""
    folder = Folder(tmp_path)
    path = folder.write(tls={}, basic_auth_users={USER: hashed()})
    more = {"SCRAPE_INTERVAL": "0.2", "WEB_CONFIG_FILE": str(path), "PROTECT_HEALTH_ROUTES": "true"}
    with program(**variables(gateway, **more)) as running:
        listening = running.record("Listening")
        url = f"https://localhost:{listening['port']}/metrics"

        def scrape(password: str) -> requests.Response:
            return requests.get(url, auth=(USER, password), verify=folder.ca_path, timeout=5)

        assert ([True, True], 200, 401) == (
            [listening["tls"], listening["auth"]],
            scrape(PASSWORD).status_code,
            scrape("wrong").status_code,
        )
        series = 'gatewayz_exporter_last_reload_successful{file="web_config"} '
        assert f"{series}1.0" in scrape(PASSWORD).text
        expiry = 'gatewayz_exporter_certificate_expiry_timestamp_seconds{file="cert_file"} '
        until(lambda: scrape(PASSWORD), lambda text: expiry in text)

        folder.write(basic_auth_users={USER: hashed("new")})
        assert 200 == until(lambda: scrape(PASSWORD), lambda text: f"{series}0.0" in text).status_code
        warning = running.record("Web config not reloaded")
        folder.write(tls={}, basic_auth_users={USER: hashed("new")})
        assert 200 == until(lambda: scrape("new"), lambda text: f"{series}1.0" in text).status_code
        running.record("Web config reloaded")
        assert 401 == scrape(PASSWORD).status_code
        health = f"https://localhost:{listening['port']}/-/healthy"
        assert 401 == requests.get(health, verify=folder.ca_path, timeout=5).status_code

        address = ("localhost", listening["port"])
        before = ssl.get_server_certificate(address, timeout=5)
        folder.renew()
        eventually(lambda: before != ssl.get_server_certificate(address, timeout=5))
        with socket.create_connection(address):
            assert stops_in_time(running)

    assert ("warning", True) == (
        warning["level"],
        "tls_server_config cannot be added or removed" in warning["hint"],
    )
    assert [] == [line for line in running.output if "$2b$" in line or PASSWORD in line]


def test_reload(gateway: ReplayGateway, tmp_path: Path) -> None:
    """SIGHUP reloads all files at once, even during a fetch, and logs each result."""
    gateway.silent = True
    folder, custom, key = Folder(tmp_path), tmp_path / "custom.yaml", tmp_path / "key"
    custom.write_text("metrics: []")
    key.write_text(KEY)
    more = {
        "ADMIN_KEY": "",
        "ADMIN_KEY_FILE": str(key),
        "WEB_CONFIG_FILE": str(folder.write(basic_auth_users={USER: hashed()})),
        "CUSTOM_METRICS_FILE": str(custom),
        "FETCH_TIMEOUT": "45s",
    }
    with program(**variables(gateway, **more)) as running:
        url = running.url()
        assert gateway.reached.wait(20)
        running.process.send_signal(signal.SIGHUP)
        unchanged = [
            running.record(f"{name} unchanged") for name in ("Web config", "Admin key", "Custom metrics")
        ]

        folder.write(basic_auth_users={USER: hashed("new")})
        custom.write_text("metrics: [1]")
        key.write_text("another-key")
        running.process.send_signal(signal.SIGHUP)
        running.record("Web config reloaded")
        running.record("Admin key reloaded")
        problem = running.record("Custom metrics not reloaded")
        answer = requests.get(f"{url}/metrics", auth=(USER, "new"), timeout=5)
        assert stops_in_time(running)

    assert ["info"] * 3 == [record["level"] for record in unchanged]
    assert "metric 1 must be a mapping." in problem["hint"]
    assert 200 == answer.status_code


def until(ask: Callable[[], requests.Response], seen: Callable[[str], bool]) -> requests.Response:
    """Return the first response whose text fulfils a condition."""
    deadline = time.monotonic() + 20
    while not seen((response := ask()).text):
        assert time.monotonic() < deadline, response.text
        time.sleep(0.05)
    return response


def test_custom_metrics_file(gateway: ReplayGateway, tmp_path: Path) -> None:
    """Custom metrics are published; changes are reloaded, invalid ones are logged and ignored."""
    path = tmp_path / "custom.yaml"
    metric = '{{name: {}, help: The "total"., kind: gauge, from: stats, path: total}}'
    path.write_text(f"metrics: [{metric.format('gatewayz_first')}]")
    more = {"SCRAPE_INTERVAL": "0.2", "CUSTOM_METRICS_FILE": str(path)}
    with program(**variables(gateway, **more)) as running:
        url = f"{running.url()}/metrics"
        reloaded = 'gatewayz_exporter_last_reload_successful{file="custom_metrics"} '

        def scrape() -> requests.Response:
            return requests.get(url, timeout=5)

        text = until(scrape, lambda text: "\ngatewayz_first 40.0\n" in text).text
        assert '\n# HELP gatewayz_first The "total".\n' in text
        assert f"{reloaded}1.0" in text

        path.write_text("metrics: [{name: up}]")
        text = until(scrape, lambda text: f"{reloaded}0.0" in text).text
        assert "\ngatewayz_first 40.0\n" in text
        assert "metric 1 (up): help is missing." in running.record("Custom metrics not reloaded")["hint"]

        path.write_text(f"metrics: [{metric.format('gatewayz_second')}]")
        text = until(scrape, lambda text: "\ngatewayz_second 40.0\n" in text).text
        assert "gatewayz_first" not in text
        assert f"{reloaded}1.0" in text
        running.record("Custom metrics reloaded")


def test_slow_password_check(gateway: ReplayGateway, tmp_path: Path) -> None:
    """A password check that takes minutes does not delay shutdown."""
    path = Folder(tmp_path).write(basic_auth_users={USER: hashed().replace("$04$", "$24$")})
    # No valid cost takes that long.
    costlier = (
        "from exporter.webconfig import config; config.MAX_COST = 24\n"
        "from exporter.web import server; server.EXIT_SECONDS = 2.0"
    )
    with program(code=costlier, **variables(gateway, WEB_CONFIG_FILE=str(path))) as running:
        port = running.record("Listening")["port"]
        with socket.create_connection(("127.0.0.1", port), timeout=10) as waiting:
            credentials = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
            waiting.sendall(
                f"GET / HTTP/1.1\r\nhost: x\r\nauthorization: Basic {credentials}\r\n\r\n".encode()
            )
            assert 200 == requests.get(f"http://127.0.0.1:{port}/-/healthy", timeout=5).status_code
            assert stops_in_time(running)

    assert "Stopped" == json.loads(running.output[-1])["message"]


def test_warnings(gateway: ReplayGateway, tmp_path: Path) -> None:
    """Questionable settings and files are logged as warnings at the start."""
    path = Folder(tmp_path).write(basic_auth_users={USER: hashed()})
    with program(**variables(gateway, WEB_CONFIG_FILE=str(path), FETCH_TIMEOUT="100")) as running:
        warnings = [running.record("Questionable setting") for _ in range(2)]

    assert ["warning"] * 2 == [warning["level"] for warning in warnings]
    assert "FETCH_TIMEOUT is cut from 100 to 48 s" in warnings[0]["hint"]
    assert "passwords travel unencrypted" in warnings[1]["hint"]


def test_several_listen_addresses(gateway: ReplayGateway) -> None:
    """The repeatable flag overrides the variables, and each address is served."""
    flags = ("--web.listen-address=127.0.0.1:0", "--web.listen-address", "[::]:0")
    with program("run", *flags, **variables(gateway, METRICS_HOST="x:y", METRICS_PORT="x")) as running:
        listening = [running.record("Listening") for _ in flags[1:]]
        running.record("Updated provider metrics")
        codes = [
            requests.get(f"http://{host}:{record['port']}/metrics", timeout=5).status_code
            for host, record in zip(("127.0.0.1", "[::1]"), listening, strict=True)
        ]

    assert (["127.0.0.1", "::"], [200, 200]) == ([record["host"] for record in listening], codes)


def test_route_prefix(gateway: ReplayGateway) -> None:
    """All routes have the prefix, and `healthcheck` works."""
    flags = ("--web.external-url=https://host.example/tools/exporter/", "--web.telemetry-path=/prom")
    with program("run", *flags, **variables(gateway)) as running:
        url = running.url()
        wait_until_ready(f"{url}/tools/exporter")
        paths = ("/tools/exporter/prom", "/tools/exporter/", "/tools/exporter", "/", "/prom", "/metrics")
        answers = [requests.get(url + path, timeout=5) for path in paths]
        asking = {"METRICS_HOST": "127.0.0.1", "METRICS_PORT": url.rpartition(":")[2]}
        by_socket = run_program("healthcheck", **asking)

    assert [200, 200, 200, 200, 404, 404] == [answer.status_code for answer in answers]
    assert [f"{url}/tools/exporter/"] * 3 == [answer.url for answer in answers[1:4]]
    assert 0 == by_socket.returncode


def test_health_routes_with_a_prefix(gateway: ReplayGateway, tmp_path: Path) -> None:
    """Health routes with a prefix need no password."""
    path = Folder(tmp_path).write(basic_auth_users={USER: hashed()})
    flags = ("--web.route-prefix=/exporter", f"--web.config.file={path}")
    with program("run", *flags, **variables(gateway)) as running:
        url = running.url()
        codes = [
            requests.get(f"{url}{path}", timeout=5).status_code
            for path in ("/exporter/-/healthy", "/-/healthy", "/exporter/metrics")
        ]

    assert [200, 401, 401] == codes


def test_console_format(gateway: ReplayGateway) -> None:
    """The console format has text lines, without colours in a pipe."""
    with program(
        "run", "--log.format=console", "--log.level=WARN", **variables(gateway, FETCH_TIMEOUT="100")
    ) as running:
        eventually(lambda: bool(running.output))
        assert stops_in_time(running)

    assert 1 == len(running.output)
    assert running.output[0][9:].startswith('warning  Questionable setting hint="FETCH_TIMEOUT is cut')


def test_many_idle_connections(gateway: ReplayGateway) -> None:
    """500 idle connections leave descriptors for scrapes and polls."""
    lowered = "import resource; resource.setrlimit(resource.RLIMIT_NOFILE, (100, 4096))"
    with program(code=lowered, **variables(gateway)) as running, contextlib.ExitStack() as idle:
        url = running.url()
        address = ("127.0.0.1", int(url.rpartition(":")[2]))
        for _ in range(500):
            idle.enter_context(socket.create_connection(address, timeout=5))

        running.record("Updated provider metrics")
        text = requests.get(f"{url}/metrics", timeout=5).text

    assert "\ngatewayz_up 1.0\n" in text
