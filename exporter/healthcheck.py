"""Ask a running exporter whether it is healthy, for containers that have no other HTTP client."""

from __future__ import annotations

import http.client
import socket

import requests

from exporter import healthsocket
from exporter.settings import WebSettings
from exporter.values import address

PATH = "/-/healthy"
TIMEOUT_SECONDS = 3.0
ANY_ADDRESS = frozenset({"::", "0.0.0.0"})  # noqa: S104 - recognised here, not bound


def probe(settings: WebSettings) -> tuple[bool, str]:
    """Return whether `/-/healthy` answered 200, and what it said or why it did not.

    The exporter's socket for this is asked first; where there is none, its port is, over plain HTTP.
    """
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(TIMEOUT_SECONDS)
        try:
            connection.connect(healthsocket.address(settings.host, settings.port))
        except OSError:
            return _probe_tcp(settings)
        if not healthsocket.is_ours(connection):
            return _probe_tcp(settings)
        try:
            return _ask(connection)
        except (OSError, http.client.HTTPException) as error:
            return False, f"no answer on the health socket of port {settings.port}: {type(error).__name__}"


def _ask(connection: socket.socket) -> tuple[bool, str]:
    client = http.client.HTTPConnection("localhost")
    client.sock = connection
    client.request("GET", PATH)
    response = client.getresponse()
    return response.status == 200, response.read().decode().strip()


def _probe_tcp(settings: WebSettings) -> tuple[bool, str]:
    session = requests.Session()
    # A proxy of the environment is for the gateway, not for this machine.
    session.trust_env = False
    try:
        url = f"http://{_address(settings)}{settings.route_prefix}{PATH}"
        response = session.get(url, timeout=TIMEOUT_SECONDS, allow_redirects=False)
    except requests.RequestException as error:
        return False, f"no answer on port {settings.port}: {type(error).__name__}"
    return response.status_code == 200, response.text.strip()


def _address(settings: WebSettings) -> str:
    host = "127.0.0.1" if settings.host in ANY_ADDRESS else settings.host
    return address(host, settings.port)
