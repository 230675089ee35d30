"""The whole program, as a process: it starts, serves, stops and dies as documented."""

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
from tests.process import environment, program, run_program
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
    """Return an environment for a program that polls the replaying gateway."""
    return {
        "GATEWAY_API_URL": gateway.url,
        "ADMIN_KEY": KEY,
        "METRICS_HOST": "127.0.0.1",
        "METRICS_PORT": "0",
        **more,
    }


def wait_until_ready(url: str) -> None:
    """Wait for the first poll."""
    deadline = time.monotonic() + 20
    while requests.get(f"{url}/-/ready", timeout=5).status_code != 200:
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "Ctrl-C"])
def test_life_of_the_program(gateway: ReplayGateway, number: signal.Signals) -> None:
    """It listens, polls, serves, and ends with 0 when it is asked to stop while idle."""
    with program(**variables(gateway)) as running:
        url = running.url()
        record = running.record("Updated provider metrics")
        text = requests.get(f"{url}/metrics", timeout=5).text

        code, seconds = running.end(number)

    assert (40, 32) == (record["providers_total"], len(record["trace_id"]))
    assert "\ngatewayz_up 1.0\n" in text
    assert 0 == code
    assert seconds < LIMIT_SECONDS
    assert "Stopped" == json.loads(running.output[-1])["message"]


def test_stop_in_the_middle_of_a_fetch(gateway: ReplayGateway) -> None:
    """A silent gateway does not hold the end."""
    gateway.silent = True
    with program(**variables(gateway)) as running:
        running.url()
        assert gateway.reached.wait(20)

        code, seconds = running.end()

    assert 0 == code
    assert seconds < LIMIT_SECONDS


@pytest.mark.parametrize("delay", [0.05, 0.3, 0.6, 0.9, 1.2])
def test_stop_at_any_moment_of_the_start(gateway: ReplayGateway, delay: float) -> None:
    """A signal during the start ends the program with 0, whatever it is just doing."""
    with program(code=WAIT_FOR_PYTHON, **variables(gateway)) as running:
        deadline = time.monotonic() + 20
        while not running.output:
            assert time.monotonic() < deadline
            time.sleep(0.005)
        time.sleep(delay)

        code, seconds = running.end()

    assert 0 == code
    assert seconds < LIMIT_SECONDS


WAIT_FOR_PYTHON = """
import signal
from exporter import __main__
original = signal.signal
def told(number, handler):
    result = original(number, handler)
    if number == signal.SIGINT:
        print("ready", flush=True)
        signal.signal = original
    return result
signal.signal = told
"""
"""Says when the program has taken over the signals: before, Python itself answers them."""


def test_stop_while_the_receiver_hangs(gateway: ReplayGateway) -> None:
    """A collector that never answers does not hold the end."""
    with OtlpReceiver(silent=True) as receiver:
        more = {"OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url}
        with program(**variables(gateway, **more)) as running:
            wait_until_ready(running.url())

            code, seconds = running.end()

    assert 0 == code
    assert seconds < LIMIT_SECONDS


def test_what_is_queued_is_sent_at_the_end(gateway: ReplayGateway) -> None:
    """Spans and records that have not left yet leave when the program is asked to stop."""
    with OtlpReceiver() as receiver:
        more = {"OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url, "OTEL_BSP_SCHEDULE_DELAY": "60000"}
        with program(**variables(gateway, **more)) as running:
            url = running.url()
            record = running.record("Updated provider metrics")
            requests.get(f"{url}/metrics", timeout=5)
            running.end()

    polls = [span for span in receiver.spans if span.name == "poll"]
    (scrape,) = [span for span in receiver.spans if span.name == "GET /metrics"]
    assert [record["trace_id"]] == [poll.trace_id.hex() for poll in polls]
    assert [polls[0].span_id] == [link.span_id for link in scrape.links]
    records = sorted(receiver.records, key=attrgetter("time_unix_nano"))
    assert ["Listening", "Updated provider metrics", "Stopped"] == [
        json.loads(sent.body.string_value)["message"] for sent in records
    ]
    names = {attribute.key: attribute.value.string_value for attribute in receiver.resources[0].attributes}
    assert "provider-metrics-exporter" == names["service.name"]


def test_nothing_is_connected_to_but_the_gateway(gateway: ReplayGateway) -> None:
    """Without an OTLP endpoint there is no attempt to reach one, no warning, and yet a trace id."""
    with program(code=REPORT_CONNECTIONS, **variables(gateway)) as running:
        wait_until_ready(running.url())
        record = running.record("Updated provider metrics")
        running.end()

    expected = f"CONNECT {gateway.url.removeprefix('http://').replace(':', ' ')}\n"
    assert {expected} == {line for line in running.output if line.startswith("CONNECT")}
    levels = {json.loads(line)["level"] for line in running.output if line.startswith("{")}
    assert {"info"} == levels
    assert 32 == len(record["trace_id"])


def test_dead_receiver_is_one_warning(gateway: ReplayGateway) -> None:
    """A dead OTLP endpoint costs one warning a minute, and changes nothing else."""
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
        for _ in range(10):
            running.record("Updated provider metrics")
        text = requests.get(f"{url}/metrics", timeout=5).text
        code, seconds = running.end()

    messages = [json.loads(line)["message"] for line in running.output if line.startswith("{")]
    assert 1 == messages.count("Telemetry not delivered")
    assert "OTEL_EXPORTER_OTLP_ENDPOINT" in warning["hint"]
    assert "\ngatewayz_up 1.0\n" in text
    assert (0, True) == (code, seconds < LIMIT_SECONDS)


def test_death_of_the_poller_ends_the_program(gateway: ReplayGateway) -> None:
    """An exception that leaves the poller's thread is told, and the exit code is 1."""
    with program(code=KILL_POLLER, **variables(gateway)) as running:
        record = running.record("The poller died")
        code = running.process.wait(20)

    assert "critical" == record["level"]
    assert "ZeroDivisionError: a bug" in record["exc_info"]
    assert 1 == code


def test_blocked_output_does_not_hold_the_end(gateway: ReplayGateway) -> None:
    """Even when nobody reads its output any more, the program ends in time."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(writer, b" " * 65536)
    os.set_blocking(writer, True)
    process = subprocess.Popen(
        [sys.executable, "-m", "exporter"], env=environment(**variables(gateway)), stdout=writer
    )
    time.sleep(3)

    process.send_signal(signal.SIGTERM)
    begun = time.monotonic()
    code = process.wait(20)

    assert (0, True) == (code, time.monotonic() - begun < LIMIT_SECONDS)
    os.close(reader)
    os.close(writer)


def test_captured_headers_never_show_keys(gateway: ReplayGateway) -> None:
    """With all header capture turned on, no span holds what authorizes us or a scraper."""
    with OtlpReceiver() as receiver:
        more = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url,
            "OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_CLIENT_REQUEST": ".*",
            "OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_SERVER_REQUEST": ".*",
        }
        with program(**variables(gateway, **more)) as running:
            url = running.url()
            running.record("Updated provider metrics")
            requests.get(f"{url}/metrics", headers={"Authorization": "Basic sesame"}, timeout=5)
            running.end()

    text = "".join(str(span) for span in receiver.spans)
    assert 4 == text.count("http.request.header.authorization")
    assert [] == [secret for secret in (KEY, "sesame") if secret in text]


def test_debug_level_does_not_feed_itself(gateway: ReplayGateway) -> None:
    """What is logged while records are exported is not exported."""
    with OtlpReceiver() as receiver:
        more = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url,
            "OTEL_BLRP_SCHEDULE_DELAY": "50",
            "LOG_LEVEL": "debug",
        }
        with program(**variables(gateway, **more)) as running:
            running.record("Updated provider metrics")
            time.sleep(0.5)
            running.end()

    assert [] == [record for record in receiver.records if "/v1/logs" in record.body.string_value]


def test_port_taken(gateway: ReplayGateway) -> None:
    """A port that somebody else has is exit code 3, and the message names it."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = str(server.getsockname()[1])

        result = run_program(**variables(gateway, METRICS_PORT=port))

    assert (3, "") == (result.returncode, result.stdout)
    assert (
        f"provider-metrics-exporter: cannot listen on 127.0.0.1:{port} (METRICS_HOST and METRICS_PORT, or "
        "--web.listen-address): Address already in use\n"
    ) == result.stderr


def test_wrong_settings() -> None:
    """Every problem is told at once, a line each, with exit code 2 and no key."""
    result = run_program(
        GATEWAY_API_URL="ftp://user:s3cret@host", ADMIN_KEY="bad key", METRICS_PORT="x", LOG_LEVEL="loud"
    )

    assert (2, "") == (result.returncode, result.stdout)
    assert 4 == len(result.stderr.splitlines())
    assert all(line.startswith("provider-metrics-exporter: ") for line in result.stderr.splitlines())
    assert "s3cret" not in result.stderr
    assert "bad key" not in result.stderr


def test_guarded_exporter(gateway: ReplayGateway, tmp_path: Path) -> None:
    """With a web configuration file it asks for TLS and passwords, says so, and reads the file again."""
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
        deadline = time.monotonic() + 20
        while before == ssl.get_server_certificate(address, timeout=5):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        with socket.create_connection(("localhost", listening["port"])):
            code, seconds = running.end()

    assert ("warning", True) == (
        warning["level"],
        "tls_server_config cannot be added or removed" in warning["hint"],
    )
    assert (0, True) == (code, seconds < LIMIT_SECONDS)
    assert [] == [line for line in running.output if "$2b$" in line or PASSWORD in line]


def test_reload(gateway: ReplayGateway, tmp_path: Path) -> None:
    """SIGHUP reads every file again at once, also while a fetch hangs, and logs what became of each."""
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
        code, seconds = running.end()

    assert ["info"] * 3 == [record["level"] for record in unchanged]
    assert "metric 1 must be a mapping." in problem["hint"]
    assert (200, 0, True) == (answer.status_code, code, seconds < LIMIT_SECONDS)


def test_reload_of_a_certificate(gateway: ReplayGateway, tmp_path: Path) -> None:
    """A new certificate is served after SIGHUP, by the very next connection."""
    folder = Folder(tmp_path)
    with program(**variables(gateway, WEB_CONFIG_FILE=str(folder.write(tls={})))) as running:
        address = ("localhost", running.record("Listening")["port"])
        before = ssl.get_server_certificate(address, timeout=5)
        folder.renew()
        running.process.send_signal(signal.SIGHUP)
        running.record("Web config reloaded")

        assert before != ssl.get_server_certificate(address, timeout=5)


def test_nothing_to_reload(gateway: ReplayGateway) -> None:
    """Without files SIGHUP is answered as well, and stops nothing."""
    with program(**variables(gateway)) as running:
        url = running.url()
        running.process.send_signal(signal.SIGHUP)
        running.record("Nothing to reload")

        assert 200 == requests.get(f"{url}/-/healthy", timeout=5).status_code


@pytest.mark.parametrize("delay", [0.0, 0.3, 0.6, 0.9])
def test_hangup_at_any_moment_of_the_start(gateway: ReplayGateway, delay: float) -> None:
    """SIGHUP during the start changes nothing: the files have not been read, or just now."""
    with program(code=WAIT_FOR_PYTHON, **variables(gateway)) as running:
        deadline = time.monotonic() + 20
        while not running.output:
            assert time.monotonic() < deadline
            time.sleep(0.005)
        time.sleep(delay)
        running.process.send_signal(signal.SIGHUP)
        running.record("Updated provider metrics")
        code, _ = running.end()

    assert 0 == code


def until(ask: Callable[[], requests.Response], seen: Callable[[str], bool]) -> requests.Response:
    """Return the first answer that has what is waited for."""
    deadline = time.monotonic() + 20
    while not seen((response := ask()).text):
        assert time.monotonic() < deadline, response.text
        time.sleep(0.05)
    return response


def test_custom_metrics_file(gateway: ReplayGateway, tmp_path: Path) -> None:
    """Custom metrics of a file are published; it is read again, and a broken one changes nothing."""
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


def test_long_comparison_does_not_hold_the_end(gateway: ReplayGateway, tmp_path: Path) -> None:
    """A password that is compared for minutes does not keep the program from ending in time."""
    path = Folder(tmp_path).write(basic_auth_users={USER: hashed().replace("$04$", "$24$")})
    # No cost that the file may have takes that long.
    costlier = "from exporter.webconfig import config; config.MAX_COST = 24"
    with program(code=costlier, **variables(gateway, WEB_CONFIG_FILE=str(path))) as running:
        port = running.record("Listening")["port"]
        with socket.create_connection(("127.0.0.1", port), timeout=10) as waiting:
            credentials = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
            waiting.sendall(
                f"GET / HTTP/1.1\r\nhost: x\r\nauthorization: Basic {credentials}\r\n\r\n".encode()
            )
            assert 200 == requests.get(f"http://127.0.0.1:{port}/-/healthy", timeout=5).status_code
            code, seconds = running.end()

    assert 0 == code
    assert seconds < LIMIT_SECONDS
    assert "Stopped" == json.loads(running.output[-1])["message"]


def test_open_exporter_says_so(gateway: ReplayGateway) -> None:
    """Without a web configuration file everybody may come in."""
    with program(**variables(gateway)) as running:
        listening = running.record("Listening")

    assert [False, False] == [listening["tls"], listening["auth"]]


def test_unwise_web_config_is_told(gateway: ReplayGateway, tmp_path: Path) -> None:
    """Passwords without TLS are a warning at the start."""
    path = Folder(tmp_path).write(basic_auth_users={USER: hashed()})
    with program(**variables(gateway, WEB_CONFIG_FILE=str(path))) as running:
        warning = running.record("Questionable setting")

    assert "passwords travel unencrypted" in warning["hint"]


def test_both_address_families(gateway: ReplayGateway) -> None:
    """By default it answers on IPv4 and IPv6 alike."""
    with program(**variables(gateway, METRICS_HOST="::")) as running:
        port = running.record("Listening")["port"]

        codes = [
            requests.get(f"http://{host}:{port}/-/healthy", timeout=5).status_code
            for host in ("127.0.0.1", "[::1]")
        ]

    assert [200, 200] == codes


def test_what_people_type(gateway: ReplayGateway) -> None:
    """Units, brackets and colons that other programs take are understood."""
    typed = {"METRICS_HOST": "[::1]", "METRICS_PORT": ":0", "SCRAPE_INTERVAL": "5m", "STALE_AFTER": "1h30m"}
    with program(**variables(gateway, LOG_LEVEL="INFO", FETCH_TIMEOUT="500ms", **typed)) as running:
        listening = running.record("Listening")
        answer = requests.get(f"http://[::1]:{listening['port']}/-/healthy", timeout=5)

    settings = ("host", "scrape_interval", "fetch_timeout", "stale_after")
    assert ["::1", 300.0, 0.5, 5400.0] == [listening[name] for name in settings]
    assert 200 == answer.status_code


@pytest.mark.parametrize("host", ["[::1", "127.0.0.1:8001", "http://localhost", "999.0.0.1"])
def test_malformed_host(gateway: ReplayGateway, host: str) -> None:
    """A malformed address is a wrong setting, in plain words, and never an address that cannot be bound."""
    result = run_program(**variables(gateway, METRICS_HOST=host))

    assert (2, "") == (result.returncode, result.stdout)
    assert result.stderr.startswith(
        f'provider-metrics-exporter: METRICS_HOST="{host}": must be an IP address '
    )


def test_several_listen_addresses(gateway: ReplayGateway) -> None:
    """The flag for the address may be repeated, wins over the variables, and each address is served."""
    flags = ("--web.listen-address=127.0.0.1:0", "--web.listen-address", "[::1]:0")
    with program("run", *flags, **variables(gateway, METRICS_HOST="x:y", METRICS_PORT="x")) as running:
        listening = [running.record("Listening") for _ in flags[1:]]
        running.record("Updated provider metrics")
        codes = [
            requests.get(f"http://{host}:{record['port']}/metrics", timeout=5).status_code
            for host, record in zip(("127.0.0.1", "[::1]"), listening, strict=True)
        ]

    assert (["127.0.0.1", "::1"], [200, 200]) == ([record["host"] for record in listening], codes)


@pytest.mark.parametrize("position", ["before", "after"])
def test_route_prefix(gateway: ReplayGateway, position: str) -> None:
    """Behind a proxy that passes the path on, every route has its prefix, and `healthcheck` works."""
    flags = ("--web.external-url=https://host.example/tools/exporter/", "--web.telemetry-path=/prom")
    arguments = (*flags, "run") if position == "before" else ("run", *flags)
    with program(*arguments, **variables(gateway)) as running:
        url = running.url()
        wait_until_ready(f"{url}/tools/exporter")
        paths = ("/tools/exporter/prom", "/tools/exporter/", "/tools/exporter", "/", "/prom", "/metrics")
        answers = [requests.get(url + path, timeout=5) for path in paths]
        asking = {"METRICS_HOST": "127.0.0.1", "METRICS_PORT": url.rpartition(":")[2]}
        by_socket = run_program("healthcheck", **asking)

    assert [200, 200, 200, 200, 404, 404] == [answer.status_code for answer in answers]
    assert [f"{url}/tools/exporter/"] * 3 == [answer.url for answer in answers[1:4]]
    assert 0 == by_socket.returncode


def test_prefix_of_the_health_routes(gateway: ReplayGateway, tmp_path: Path) -> None:
    """Health routes below a prefix need no password either."""
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
    """The log for a person is lines of text, without colours where nobody sees them."""
    with program(
        "run", "--log.format=console", "--log.level=WARN", **variables(gateway, FETCH_TIMEOUT="100")
    ) as running:
        deadline = time.monotonic() + 20
        while not running.output:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        code, _ = running.end()

    assert 0 == code
    assert 1 == len(running.output)
    assert running.output[0][9:].startswith('warning  Questionable setting hint="FETCH_TIMEOUT is cut')


def test_unwise_settings_are_told_once(gateway: ReplayGateway) -> None:
    """What is questionable is a warning in the log at the start."""
    with program(**variables(gateway, FETCH_TIMEOUT="100")) as running:
        warning = running.record("Questionable setting")

    assert "warning" == warning["level"]
    assert "FETCH_TIMEOUT is cut from 100 to 48 s" in warning["hint"]


def test_key_is_nowhere_in_the_log(gateway: ReplayGateway) -> None:
    """The key is in no line of a run that succeeds, fails and ends, at the most talkative level."""
    with program(**variables(gateway, LOG_LEVEL="debug")) as running:
        running.url()
        running.record("Updated provider metrics")
        running.end()

    assert KEY not in "".join(running.output)


def test_many_idle_connections(gateway: ReplayGateway) -> None:
    """Five hundred connections that say nothing leave descriptors for scrapes and polls."""
    lowered = "import resource; resource.setrlimit(resource.RLIMIT_NOFILE, (100, 4096))"
    with program(code=lowered, **variables(gateway)) as running, contextlib.ExitStack() as idle:
        url = running.url()
        address = ("127.0.0.1", int(url.rpartition(":")[2]))
        for _ in range(500):
            idle.enter_context(socket.create_connection(address, timeout=5))

        running.record("Updated provider metrics")
        text = requests.get(f"{url}/metrics", timeout=5).text

    assert "\ngatewayz_up 1.0\n" in text
