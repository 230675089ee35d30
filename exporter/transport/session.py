"""Adapter to requests: sessions with abortable connections and with our rules for proxies and redirects.

`resolve_redirects`, `merge_environment_settings`, `proxy_manager_for` and the names of `requests.utils` are
not documented. Seen in requests 2.34.2. tests/transport/test_session.py fails first when a later version
differs.
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterator, Mapping
from http.cookiejar import DefaultCookiePolicy
from typing import Any
from urllib.parse import urlsplit

import requests
import urllib3
from requests.adapters import HTTPAdapter
from requests.utils import DEFAULT_CA_BUNDLE_PATH, get_environ_proxies

from exporter import SERVICE_NAME, __version__
from exporter.errors import GatewayError, Outcome
from exporter.transport.authorities import Authorities
from exporter.transport.connections import ActiveConnection, watch
from exporter.transport.failures import NO_ANSWER, translated
from exporter.transport.proxies import proxy_for

Response = requests.Response
CHUNK_BYTES = 64 * 1024


class Session(requests.Session):
    """Sends one request at a time, which another thread can abort; no redirects, no cookies."""

    def __init__(self, connection: ActiveConnection) -> None:
        """Report connections to `connection`."""
        super().__init__()
        self.headers["User-Agent"] = f"{SERVICE_NAME}/{__version__}"
        self.cookies.set_policy(DefaultCookiePolicy(allowed_domains=()))
        self._prepared: requests.PreparedRequest | None = None
        self._prepared_for: tuple[str, Mapping[str, str | list[str]] | None] = "", None
        adapter = _Adapter(connection)
        self.mount("http://", adapter)
        self.mount("https://", adapter)

    def open(
        self,
        url: str,
        timeout: float,
        authorities: Authorities | None,
        parameters: Mapping[str, str | list[str]] | None = None,
    ) -> requests.Response:
        """Send a GET request, through the proxy of the environment if any; the body is not read.

        Args:
            url: The URL without parameters.
            timeout: Seconds to connect, and between two reads.
            authorities: Trusted authorities; None: the bundle of requests.
            parameters: The query.

        Raises:
            GatewayError: When there is no response.
        """
        proxy = proxy_for(url, os.environ)
        # An empty string, unlike None, disables the rules of requests for proxies.
        proxies = {urlsplit(url).scheme: proxy.url if proxy else ""}
        with translated(proxy):
            return self.send(
                self._request(url, parameters),
                timeout=timeout,
                verify=ca_bundle(authorities),
                proxies=proxies,
                allow_redirects=False,
                stream=True,
            )

    def _request(
        self, url: str, parameters: Mapping[str, str | list[str]] | None
    ) -> requests.PreparedRequest:
        """Return the prepared request, with a new `Authorization` header.

        It is prepared once for a URL, which saves a tenth of the CPU time of a poll of few providers.
        """
        if self._prepared is None or (url, parameters) != self._prepared_for:
            self._prepared = self.prepare_request(requests.Request("GET", url, params=parameters))
            self._prepared_for = url, parameters
        elif callable(self.auth):
            self.auth(self._prepared)
        return self._prepared

    def resolve_redirects(self, *args: Any, **kwargs: Any) -> Iterator[requests.Response]:
        """Return none: requests would read bodies of redirects, even with `allow_redirects=False`."""
        return iter(())


def read_body(response: Response, connection: ActiveConnection, max_bytes: int) -> bytes:
    """Return the body, decompressed.

    Raises:
        GatewayError: `too_large` for more than `max_bytes`, `timeout` after an abort of `connection`.
    """
    # `BytesIO.getvalue` does not copy.
    body = io.BytesIO()
    for chunk in response.iter_content(CHUNK_BYTES):
        if connection.is_aborted:
            # Decompression of the received bytes can take long.
            raise GatewayError(Outcome.TIMEOUT, NO_ANSWER)
        body.write(chunk)
        if body.tell() > max_bytes:
            raise GatewayError(Outcome.TOO_LARGE, f"more than {max_bytes} bytes")
    return body.getvalue()


class ProxiedSession(requests.Session):
    """Uses the proxies of the environment, but not its certificate authorities, nor passwords of ~/.netrc."""

    def __init__(self) -> None:
        """Start with the authorities of requests."""
        super().__init__()
        self.trust_env = False

    def merge_environment_settings(self, url: Any, proxies: Any, stream: Any, verify: Any, cert: Any) -> Any:
        """Add the proxies."""
        proxies = {**get_environ_proxies(url), **(proxies or {})}
        return super().merge_environment_settings(url, proxies, stream, verify, cert)


class _Adapter(HTTPAdapter):
    def __init__(self, connection: ActiveConnection) -> None:
        self._connection = connection
        super().__init__()

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        watch(self.poolmanager, self._connection)

    def proxy_manager_for(self, *args: Any, **kwargs: Any) -> urllib3.PoolManager:
        return watch(super().proxy_manager_for(*args, **kwargs), self._connection)


def ca_bundle(authorities: Authorities | None) -> str:
    """Return the value of `verify` for each request: without it, requests reads the environment."""
    return str(authorities.path) if authorities else DEFAULT_CA_BUNDLE_PATH
