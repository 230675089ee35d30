"""Tests of the whole program as a process: start, service, reload and shutdown."""

from __future__ import annotations

import base64
import contextlib
import json
import signal
import socket
import ssl
import time
from contextlib import AbstractContextManager
from operator import attrgetter
from pathlib import Path

import pytest
import requests

from tests.certificates import PASSWORD, USER, Folder, hashed
from tests.otlp import OtlpReceiver
from tests.process import Program, program, run_program
from tests.replay import KEY, ReplayGateway
from tests.waiting import wait_until

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


def exporter(
    gateway: ReplayGateway, *flags: str, code: str = "", **more: str
) -> AbstractContextManager[Program]:
    """Run the program in front of the replaying gateway, with flags of `run` and more variables."""
    return program(*(("run", *flags) if flags else ()), code=code, **gateway.variables(**more))


def stops_in_time(running: Program, number: signal.Signals = signal.SIGTERM) -> bool:
    """Send a signal; return whether the program exits with 0 within the limit."""
    code, seconds = running.end(number)
    return code == 0 and seconds < LIMIT_SECONDS


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "Ctrl-C"])
def test_life_of_the_program(gateway: ReplayGateway, number: signal.Signals) -> None:
    """Listens, polls, serves, and exits with 0 on a stop signal; connects only to the gateway.

    It has no access control and nothing to reload without files; without OTLP records have trace ids, too.
    """
    with exporter(gateway, code=REPORT_CONNECTIONS) as running:
        listening = running.record("Listening")
        record = running.record("Updated provider metrics")
        running.process.send_signal(signal.SIGHUP)
        running.record("Nothing to reload")
        text = requests.get(f"http://127.0.0.1:{listening['port']}/metrics", timeout=5).text

        assert stops_in_time(running, number)

    assert [False, False] == [listening["tls"], listening["auth"]]
    assert (40, 32) == (record["providers_total"], len(record["trace_id"]))
    assert "\ngatewayz_up 1.0\n" in text
    records = [json.loads(line) for line in running.output if line.startswith("{")]
    assert ("Stopped", {"info"}) == (records[-1]["message"], {record["level"] for record in records})
    connections = {line for line in running.output if line.startswith("CONNECT")}
    assert {f"CONNECT 127.0.0.1 {gateway.port}\n"} == connections
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
    with exporter(gateway, code=WAIT_FOR_PYTHON) as running:
        wait_until(lambda: bool(running.output))
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
        with exporter(gateway, **more) as running:
            url = running.url()
            record = running.record("Updated provider metrics")
            requests.get(f"{url}/metrics", headers={"Authorization": "Basic sesame"}, timeout=5)
            # Records about the export would be exported with the next batch.
            wait_until(lambda: bool(receiver.records))
            time.sleep(0.5)
            running.end()

    polls = [span for span in receiver.spans if span.name == "poll"]
    (scrape,) = [span for span in receiver.spans if span.name == "GET /metrics"]
    assert [record["trace_id"]] == [poll.trace_id.hex() for poll in polls]
    assert [polls[0].span_id] == [link.span_id for link in scrape.links]
    text = "".join(str(span) for span in receiver.spans)
    assert 4 == text.count("http.request.header.authorization")
    assert [] == [secret for secret in (KEY, "sesame") if secret in text]
    assert {"/v1/traces", "/v1/logs"} == set(receiver.paths)
    records = sorted(receiver.records, key=attrgetter("time_unix_nano"))
    assert polls[0].trace_id in {sent.trace_id for sent in records}
    bodies = [json.loads(sent.body.string_value) for sent in records]
    assert ["Listening", "Updated provider metrics", "Stopped"] == [
        body["message"] for body in bodies if body["level"] == "info"
    ]
    assert [] == [body for body in bodies if "/v1/logs" in str(body)]
    names = {attribute.key: attribute.value.string_value for attribute in receiver.resources[0].attributes}
    assert "provider-metrics-exporter" == names["service.name"]


def test_death_of_the_poller(gateway: ReplayGateway) -> None:
    """An exception in the poll loop is logged, and the program exits with 1."""
    with exporter(gateway, code=KILL_POLLER) as running:
        record = running.record("The poller died")
        code = running.process.wait(20)

    assert "critical" == record["level"]
    assert "ZeroDivisionError: a bug" in record["exc_info"]
    assert 1 == code


def test_port_taken(gateway: ReplayGateway) -> None:
    """Exit code 3 and a message with the address."""
    result = run_program(**gateway.variables(METRICS_PORT=str(gateway.port)))

    assert (3, "") == (result.returncode, result.stdout)
    assert (
        f"provider-metrics-exporter: cannot listen on {gateway.address} (METRICS_HOST and METRICS_PORT, or "
        "--web.listen-address): Address already in use\n"
    ) == result.stderr


def test_web_configuration_file(gateway: ReplayGateway, tmp_path: Path) -> None:
    """The file sets TLS and passwords; changes are reloaded, invalid ones are logged and ignored."""
    folder = Folder(tmp_path)
    path = folder.write(tls={}, basic_auth_users={USER: hashed()})
    more = {"SCRAPE_INTERVAL": "0.2", "WEB_CONFIG_FILE": str(path), "PROTECT_HEALTH_ROUTES": "true"}
    with exporter(gateway, **more) as running:
        listening = running.record("Listening")
        url = f"https://localhost:{listening['port']}"

        def scrape(password: str = PASSWORD) -> requests.Response:
            return requests.get(f"{url}/metrics", auth=(USER, password), verify=folder.ca_path, timeout=5)

        assert [True, True] == [listening["tls"], listening["auth"]]
        assert [200, 401] == [scrape(password).status_code for password in (PASSWORD, "wrong")]
        reloaded = 'gatewayz_exporter_last_reload_successful{file="web_config"} '
        assert f"{reloaded}1.0" in scrape().text
        expiry = 'gatewayz_exporter_certificate_expiry_timestamp_seconds{file="cert_file"} '
        wait_until(lambda: expiry in scrape().text)

        folder.write(basic_auth_users={USER: hashed("new")})
        wait_until(lambda: f"{reloaded}0.0" in scrape().text)
        warning = running.record("Web config not reloaded")
        folder.write(tls={}, basic_auth_users={USER: hashed("new")})
        wait_until(lambda: f"{reloaded}1.0" in scrape("new").text)
        running.record("Web config reloaded")
        assert 401 == scrape().status_code
        assert 401 == requests.get(f"{url}/-/healthy", verify=folder.ca_path, timeout=5).status_code

        address = ("localhost", listening["port"])
        before = ssl.get_server_certificate(address, timeout=5)
        folder.renew()
        wait_until(lambda: before != ssl.get_server_certificate(address, timeout=5))
        with socket.create_connection(address):
            assert stops_in_time(running)

    assert "warning" == warning["level"]
    assert "tls_server_config cannot be added or removed" in warning["hint"]
    assert [] == [line for line in running.output if "$2b$" in line or PASSWORD in line]


def test_reload(gateway: ReplayGateway, tmp_path: Path) -> None:
    """SIGHUP reloads all files at once, even during a fetch, and logs each result."""
    gateway.silent = True
    folder, custom, key = Folder(tmp_path), tmp_path / "custom.yaml", tmp_path / "key"
    custom.write_text("metrics: []")
    key.write_text(KEY)
    web = str(folder.write(basic_auth_users={USER: hashed()}))
    files = {"ADMIN_KEY_FILE": str(key), "WEB_CONFIG_FILE": web, "CUSTOM_METRICS_FILE": str(custom)}
    with exporter(gateway, ADMIN_KEY="", FETCH_TIMEOUT="45s", **files) as running:
        url = running.url()
        assert gateway.reached.wait(20)
        running.process.send_signal(signal.SIGHUP)
        names = ("Web config", "Admin key", "Custom metrics")
        unchanged = [running.record(f"{name} unchanged") for name in names]

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


def test_custom_metrics_file(gateway: ReplayGateway, tmp_path: Path) -> None:
    """Custom metrics are published; changes are reloaded, invalid ones are logged and ignored."""
    path = tmp_path / "custom.yaml"
    metric = 'metrics: [{{name: {}, help: The "total"., kind: gauge, from: stats, path: total}}]'
    path.write_text(metric.format("gatewayz_first"))
    with exporter(gateway, SCRAPE_INTERVAL="0.2", CUSTOM_METRICS_FILE=str(path)) as running:
        url = f"{running.url()}/metrics"
        reloaded = 'gatewayz_exporter_last_reload_successful{file="custom_metrics"} '

        def scrape() -> str:
            return requests.get(url, timeout=5).text

        wait_until(lambda: "\ngatewayz_first 40.0\n" in scrape())
        assert '\n# HELP gatewayz_first The "total".\n' in scrape()
        assert f"{reloaded}1.0" in scrape()

        path.write_text("metrics: [{name: up}]")
        wait_until(lambda: f"{reloaded}0.0" in scrape())
        assert "\ngatewayz_first 40.0\n" in scrape()
        assert "metric 1 (up): help is missing." in running.record("Custom metrics not reloaded")["hint"]

        path.write_text(metric.format("gatewayz_second"))
        wait_until(lambda: "\ngatewayz_second 40.0\n" in scrape())
        assert "gatewayz_first" not in scrape()
        assert f"{reloaded}1.0" in scrape()
        running.record("Custom metrics reloaded")


def test_slow_password_check(gateway: ReplayGateway, tmp_path: Path) -> None:
    """A password check that takes minutes does not delay shutdown."""
    path = Folder(tmp_path).write(basic_auth_users={USER: hashed().replace("$04$", "$24$")})
    # No valid cost takes that long.
    costlier = (
        "from exporter.webconfig import config; config.MAX_COST = 24\n"
        "from exporter.web import server; server.EXIT_SECONDS = 2.0"
    )
    credentials = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
    request = f"GET / HTTP/1.1\r\nhost: x\r\nauthorization: Basic {credentials}\r\n\r\n"
    with exporter(gateway, code=costlier, WEB_CONFIG_FILE=str(path)) as running:
        port = running.record("Listening")["port"]
        with socket.create_connection(("127.0.0.1", port), timeout=10) as waiting:
            waiting.sendall(request.encode())
            assert 200 == requests.get(f"http://127.0.0.1:{port}/-/healthy", timeout=5).status_code
            assert stops_in_time(running)

    assert "Stopped" == json.loads(running.output[-1])["message"]


def test_several_listen_addresses(gateway: ReplayGateway) -> None:
    """The repeatable flag overrides the variables, and each address is served."""
    flags = ("--web.listen-address=127.0.0.1:0", "--web.listen-address", "[::]:0")
    with exporter(gateway, *flags, METRICS_HOST="x:y", METRICS_PORT="x") as running:
        first, second = (running.record("Listening") for _ in range(2))
        running.record("Updated provider metrics")
        hosts = (f"127.0.0.1:{first['port']}", f"[::1]:{second['port']}")
        codes = [requests.get(f"http://{host}/metrics", timeout=5).status_code for host in hosts]

    assert ("127.0.0.1", "::", [200, 200]) == (first["host"], second["host"], codes)


def test_route_prefix(gateway: ReplayGateway, tmp_path: Path) -> None:
    """All routes have the prefix; health routes need no password; `healthcheck` works."""
    path = Folder(tmp_path).write(basic_auth_users={USER: hashed()})
    external = "--web.external-url=https://host.example/tools/exporter/"
    with exporter(gateway, external, "--web.telemetry-path=/prom", f"--web.config.file={path}") as running:
        url = running.url()
        prefix = f"{url}/tools/exporter"
        wait_until(lambda: requests.get(f"{prefix}/-/ready", timeout=5).ok)
        pages = [f"{prefix}/prom", f"{prefix}/", prefix, f"{url}/", f"{url}/prom", f"{url}/metrics"]
        answers = [requests.get(page, auth=(USER, PASSWORD), timeout=5) for page in pages]
        others = [f"{url}/-/healthy", *(f"{prefix}/{path}" for path in ("api/v1/status", "changes.atom"))]
        guarded = [requests.get(page, timeout=5).status_code for page in (pages[0], *others)]
        asking = {"METRICS_HOST": "127.0.0.1", "METRICS_PORT": url.rpartition(":")[2]}
        by_socket = run_program("healthcheck", **asking)

    assert [200, 200, 200, 200, 404, 404] == [answer.status_code for answer in answers]
    assert [f"{prefix}/"] * 3 == [answer.url for answer in answers[1:4]]
    assert ([401] * 4, 0) == (guarded, by_socket.returncode)


def test_console_format(gateway: ReplayGateway, tmp_path: Path) -> None:
    """Logs questionable settings and files at the start; the console format has no colours in a pipe."""
    path = Folder(tmp_path).write(basic_auth_users={USER: hashed()})
    flags = ("--log.format=console", "--log.level=WARN", f"--web.config.file={path}")
    with exporter(gateway, *flags, FETCH_TIMEOUT="100") as running:
        wait_until(lambda: len(running.output) == 2)
        assert stops_in_time(running)

    setting, file = running.output
    assert setting[9:].startswith('warning  Questionable setting hint="FETCH_TIMEOUT is cut from 100 to 48 s')
    assert "passwords travel unencrypted" in file


def test_many_idle_connections(gateway: ReplayGateway) -> None:
    """500 idle connections leave descriptors for scrapes and polls: the limit is raised at the start."""
    lowered = "import resource; resource.setrlimit(resource.RLIMIT_NOFILE, (100, 4096))"
    with exporter(gateway, code=lowered) as running, contextlib.ExitStack() as idle:
        url = running.url()
        address = ("127.0.0.1", int(url.rpartition(":")[2]))
        for _ in range(500):
            idle.enter_context(socket.create_connection(address, timeout=5))

        running.record("Updated provider metrics")
        text = requests.get(f"{url}/metrics", timeout=5).text

    assert "\ngatewayz_up 1.0\n" in text
