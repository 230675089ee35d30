"""Ask a running exporter whether it is healthy, for containers that have no other HTTP client."""

from __future__ import annotations

import requests

from exporter.settings import WebSettings

TIMEOUT_SECONDS = 3.0
ANY_ADDRESS = frozenset({"::", "0.0.0.0"})  # noqa: S104 - recognised here, not bound


def probe(settings: WebSettings) -> tuple[bool, str]:
    """Return whether `/-/healthy` answered 200, and what it said or why it did not."""
    session = requests.Session()
    # A proxy of the environment is for the gateway, not for this machine.
    session.trust_env = False
    try:
        url = f"http://{_address(settings)}/-/healthy"
        response = session.get(url, timeout=TIMEOUT_SECONDS, allow_redirects=False)
    except requests.RequestException as error:
        return False, f"no answer on port {settings.port}: {type(error).__name__}"
    return response.status_code == 200, response.text.strip()


def _address(settings: WebSettings) -> str:
    host = "127.0.0.1" if settings.host in ANY_ADDRESS else settings.host
    return f"[{host}]:{settings.port}" if ":" in host else f"{host}:{settings.port}"
