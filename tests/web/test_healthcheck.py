"""Tests of `exporter.web.healthcheck` and `exporter.web.healthsocket`."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests

from exporter.web import healthcheck, healthsocket
from exporter.web.healthcheck import probe
from tests.certificates import MUTUAL, USER, Folder, hashed
from tests.http_server import free_port
from tests.process import invoke, program
from tests.replay import ReplayGateway, answer

EVERYTHING: Mapping[str, Any] = {"tls": MUTUAL, "basic_auth_users": {USER: hashed()}}
NO_ANSWER = "no answer on the health socket of port {port}"
WRITES = """
import sys
def report(event, arguments):
    if event == "open" and isinstance(arguments[0], str) and set(arguments[1] or "r") & set("wax+"):
        print("WRITES", arguments[0], flush=True)
sys.addaudithook(report)
"""
"""Prints the name of every file that the process opens for writing."""


@pytest.mark.parametrize("host", ["127.0.0.1", "::", "0.0.0.0", "localhost"])
@pytest.mark.parametrize("prefix", ["", "/exporter"])
@pytest.mark.parametrize(("status", "good"), [(200, True), (307, False), (503, False)])
def test_port(
    gateway: ReplayGateway, monkeypatch: pytest.MonkeyPatch, host: str, prefix: str, status: int, good: bool
) -> None:
    """Requests `/-/healthy` with the route prefix and without a proxy, for every listen address."""
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    gateway.answers[f"{prefix}/-/healthy"] = answer(status, b"text\n")

    assert (good, "text") == probe(host, gateway.port, prefix)


def test_nothing_listens(gateway: ReplayGateway) -> None:
    """Fails without a listener, and names the port."""
    assert (False, f"no answer on port {gateway.port}: Connection refused") == probe("::1", gateway.port)


def test_libraries_are_not_imported() -> None:
    """Without an address in the environment the command imports neither click nor any other library."""
    code = "import sys, runpy; sys.argv[1:] = ['healthcheck']\n"
    code += "try: runpy.run_module('exporter', run_name='__main__')\n"
    code += "finally: print({'click', 'requests', 'starlette', 'http'} & set(sys.modules))"
    result = subprocess.run(
        [sys.executable, "-S", "-c", code], capture_output=True, text=True, timeout=60, check=False, env={}
    )

    assert "set()\n" == result.stdout.splitlines(keepends=True)[-1]


# The health socket


@pytest.mark.parametrize(
    ("sections", "protected"),
    [
        ({}, False),
        ({"tls": {}}, False),
        ({"tls": MUTUAL}, False),
        ({"basic_auth_users": EVERYTHING["basic_auth_users"]}, False),
        ({"basic_auth_users": EVERYTHING["basic_auth_users"]}, True),
        (EVERYTHING, True),
    ],
    ids=["open", "TLS", "client certificates", "passwords", "protected health routes", "all together"],
)
def test_access_control(
    gateway: ReplayGateway, tmp_path: Path, sections: Mapping[str, Any], protected: bool
) -> None:
    """The command needs no certificate, password or option, whatever the web configuration requires."""
    file = str(Folder(tmp_path).write(**sections))
    more = {"WEB_CONFIG_FILE": file, "PROTECT_HEALTH_ROUTES": str(protected).lower()}
    with program(**gateway.variables(**more)) as running:
        asking = {"METRICS_HOST": "127.0.0.1", "METRICS_PORT": str(running.record("Listening")["port"])}
        result = invoke("healthcheck", **asking)
        running.end()

    assert (0, "OK\n") == (result.exit_code, result.output)
    assert 1 == invoke("healthcheck", **asking).exit_code


def test_nothing_is_written(gateway: ReplayGateway, tmp_path: Path) -> None:
    """Exporter and command open no file for writing, so the file system can be read-only."""
    folder = Folder(tmp_path)
    texts = {
        name: (tmp_path / f"server.{end}").read_text() for name, end in (("cert", "crt"), ("key", "key"))
    }
    path = str(folder.write(tls={**texts, "cert_file": None, "key_file": None}))
    more = {"WEB_CONFIG_FILE": path, "PYTHONDONTWRITEBYTECODE": "1"}
    with program(code=WRITES, **gateway.variables(**more)) as running:
        same = {**more, "METRICS_HOST": "127.0.0.1", "METRICS_PORT": str(running.record("Listening")["port"])}
        with program("healthcheck", code=WRITES, **same) as asking:
            assert 0 == asking.process.wait(60)
        running.end()

    assert [] == [line for line in running.output + asking.output if line.startswith("WRITES")]


def test_routes_of_the_health_socket(gateway: ReplayGateway) -> None:
    """The health socket serves only the health routes."""
    statuses = {"/metrics": 404, "/": 404, "/-/healthy": 200, "/-/ready/": 404}
    with program(**gateway.variables()) as running:
        address = healthsocket.address("127.0.0.1", running.record("Listening")["port"])
        for path, status in statuses.items():
            with socket.socket(socket.AF_UNIX) as connection:
                connection.settimeout(10)
                connection.connect(address)
                connection.sendall(f"GET {path} HTTP/1.1\r\nhost: x\r\n\r\n".encode())
                assert status == int(connection.recv(65_536).split()[1])


def test_name_that_is_taken(gateway: ReplayGateway) -> None:
    """If the name is taken, the exporter logs a warning, and the command uses the port."""
    port = free_port()
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(healthsocket.address("127.0.0.1", port))
        with program(**gateway.variables(METRICS_PORT=str(port))) as running:
            warning = running.record("Health socket not open")
            running.record("Listening")
            healthy = probe("127.0.0.1", port)
            served = requests.get(f"http://127.0.0.1:{port}/metrics", timeout=10)

    assert ("warning", True) == (warning["level"], "Address already in use" in warning["hint"])
    assert ((True, "OK"), 200) == (healthy, served.status_code)


SQUAT = """
import os, socket, sys
os.setuid(65534)
other = socket.socket(socket.AF_UNIX)
other.bind(sys.argv[1].replace("@", chr(0)))
other.listen()
print("ready", flush=True)
while True:
    connection, _ = other.accept()
    connection.sendall(b"HTTP/1.1 200 OK\\r\\ncontent-length: 6\\r\\n\\r\\nsquat!")
"""


@pytest.mark.skipif(os.getuid() != 0, reason="needs root, to become another user")
def test_name_that_another_user_took() -> None:
    """Ignores a health socket that belongs to another user."""
    port = free_port()
    name = healthsocket.address("127.0.0.1", port).replace("\0", "@")
    with subprocess.Popen([sys.executable, "-c", SQUAT, name], stdout=subprocess.PIPE) as squatter:
        assert squatter.stdout is not None
        assert b"ready\n" == squatter.stdout.readline()

        healthy = probe("127.0.0.1", port)
        squatter.kill()

    assert (False, f"no answer on port {port}: Connection refused") == healthy


def test_two_exporters_of_one_port(gateway: ReplayGateway) -> None:
    """Exporters on the same port of two addresses have different health sockets."""
    port = free_port()
    with program(**gateway.variables(METRICS_PORT=str(port))) as one:
        one.record("Listening")
        with program(**gateway.variables(METRICS_PORT=str(port), METRICS_HOST="127.0.0.2")) as other:
            other.record("Listening")

            assert [] == [line for line in other.output if "Health socket not open" in line]


@contextmanager
def listening(port: int, reply: bytes) -> Iterator[None]:
    """Answer one request on the health socket of a port; an empty reply means no answer."""
    with healthsocket.bind("127.0.0.1", port) as listener:
        listener.settimeout(20)
        done = threading.Event()

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(65_536)
                connection.sendall(reply)
                if not reply:
                    # Keep the connection open until the client times out.
                    done.wait(10)

        thread = threading.Thread(target=serve)
        thread.start()
        yield
        done.set()
        thread.join(20)


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        (answer(200, b"OK\n"), (True, "OK")),
        (answer(503, b"Overdue.\n"), (False, "Overdue.")),
        (b"garbage\r\n\r\n", (False, f"{NO_ANSWER}: the response is not plain HTTP")),
        (b"", (False, f"{NO_ANSWER}: no response within 2 s")),
    ],
    ids=["healthy", "unhealthy", "garbage", "silence"],
)
def test_health_socket_comes_first(
    gateway: ReplayGateway, monkeypatch: pytest.MonkeyPatch, reply: bytes, expected: tuple[bool, str]
) -> None:
    """The answer on the health socket decides; the port is not used."""
    monkeypatch.setattr(healthcheck, "TIMEOUT_SECONDS", 2.0)
    gateway.answers["/-/healthy"] = answer(200 if not expected[0] else 503)
    with listening(gateway.port, reply):
        result = probe("127.0.0.1", gateway.port)

    assert (expected[0], expected[1].format(port=gateway.port)) == result
    assert [] == gateway.asked
