"""HTTP by `requests`: sessions whose connections another thread can break off, failures as `GatewayError`.

Every exception of `requests`, `urllib3` and the sockets below them is translated here.
"""

from __future__ import annotations

import contextlib
import http.client
import os
import re
import socket
import ssl
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, TypeVar
from urllib.parse import urlsplit

import requests
import urllib3
from requests.adapters import HTTPAdapter
from requests.utils import DEFAULT_CA_BUNDLE_PATH, get_environ_proxies
from urllib3.connection import HTTPConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from exporter.errors import GatewayError, Outcome
from exporter.transport.authorities import Authorities
from exporter.transport.connecting import NO_CONNECTION, Connector
from exporter.transport.proxies import Proxy, proxy_for

T = TypeVar("T")
Response = requests.Response

OUTCOME_BY_STATUS = MappingProxyType(
    {401: Outcome.UNAUTHORIZED, 403: Outcome.FORBIDDEN, 429: Outcome.RATE_LIMITED}
)
OUTCOME_BY_CLASS = MappingProxyType({3: Outcome.REDIRECT, 4: Outcome.CLIENT_ERROR})
"""By the hundreds of the status; every other status is the gateway's own fault."""

OUTCOME_BY_CAUSE: tuple[tuple[type[BaseException], Outcome], ...] = (
    (urllib3.exceptions.NameResolutionError, Outcome.DNS),
    (urllib3.exceptions.NewConnectionError, Outcome.CONNECT),
    (urllib3.exceptions.SSLError, Outcome.TLS),
    (ssl.SSLError, Outcome.TLS),
    (urllib3.exceptions.TimeoutError, Outcome.TIMEOUT),
    (TimeoutError, Outcome.TIMEOUT),
    (requests.Timeout, Outcome.TIMEOUT),
    (urllib3.exceptions.DecodeError, Outcome.NOT_JSON),
)
"""The first row that any exception in a chain of causes belongs to decides; `connect` if none does."""

LATE = "no complete answer before the deadline"
DETAIL_BY_CAUSE: tuple[tuple[type[BaseException], str], ...] = (
    (urllib3.exceptions.NameResolutionError, "no address for the host name"),
    (urllib3.exceptions.ConnectTimeoutError, NO_CONNECTION),
    (urllib3.exceptions.TimeoutError, LATE),
    (TimeoutError, LATE),
    (http.client.RemoteDisconnected, "closed without an answer"),
    (urllib3.exceptions.InvalidChunkLength, "a body that is not in the chunks that it announces"),
    (http.client.IncompleteRead, "closed in the middle of the answer"),
    (http.client.BadStatusLine, "the answer is not HTTP/1"),
    (http.client.UnknownProtocol, "the answer is not HTTP/1"),
    (urllib3.exceptions.DecodeError, "a body that cannot be decompressed"),
    (urllib3.exceptions.InvalidHeader, "headers that contradict each other"),
    (http.client.HTTPException, "headers that are too long or too many"),
    (ValueError, "an answer that breaks the rules of HTTP"),
    (urllib3.exceptions.ProtocolError, "an answer that breaks the rules of HTTP"),
)
"""Words for what has none that an operator would understand; the first row that fits decides."""
PROXY_AUTHENTICATION_REQUIRED = 407
RETRIED_STATUS = frozenset({502, 503, 504})
"""What a server or proxy answers while the server behind it is away."""
TUNNEL_REFUSED = re.compile(r"Tunnel connection failed: (\d+)")
"""The only place where `http.client` keeps the status of an answer to CONNECT."""
TLS_ALERT = "\x15\x03"
"""What a TLS port begins to say to somebody who speaks plain HTTP."""


class Session(requests.Session):
    """Leaves redirects to us: requests would parse them, and read their bodies whole, even if told not to."""

    def open(
        self,
        url: str,
        timeout: float,
        authorities: Authorities | None,
        parameters: Mapping[str, str | list[str]] | None = None,
    ) -> requests.Response:
        """Send a GET request, through the proxy that the environment names for it; the body is not read.

        Args:
            url: What is requested.
            timeout: Seconds for a connection, and from one byte of the answer to the next.
            authorities: Whose certificates are trusted; None: those that requests ships.
            parameters: The query.

        Raises:
            GatewayError: When no head of an answer comes.
        """
        proxy = proxy_for(url, os.environ)
        # An empty text, unlike None, keeps requests from choosing a proxy by its own rules.
        proxies = {urlsplit(url).scheme: proxy.url if proxy else ""}
        with translated(proxy):
            return self.get(
                url,
                params=parameters,
                timeout=timeout,
                verify=trusted(authorities),
                proxies=proxies,
                allow_redirects=False,
                stream=True,
            )

    def resolve_redirects(self, *args: Any, **kwargs: Any) -> Iterator[requests.Response]:
        """Find none."""
        return iter(())


class ProxiedSession(requests.Session):
    """Uses the proxies of the environment, but neither its authorities nor the passwords of ~/.netrc."""

    def __init__(self) -> None:
        """Begin with the authorities that requests ships."""
        super().__init__()
        self.trust_env = False

    def merge_environment_settings(self, url: Any, proxies: Any, stream: Any, verify: Any, cert: Any) -> Any:
        """Add the proxies."""
        proxies = {**get_environ_proxies(url), **(proxies or {})}
        return super().merge_environment_settings(url, proxies, stream, verify, cert)


class CuttableAdapter(HTTPAdapter):
    """Remembers the connection that was opened last, which is the one in use, to shut it from outside.

    A socket timeout cannot do that: it starts anew with each byte that arrives.
    """

    def __init__(self) -> None:
        """Begin without a connection."""
        self.connection: HTTPConnection | None = None
        self.sock: socket.socket | None = None
        self.is_cut = False
        self.connector: Connector | None = None
        """Of the connection that is being made."""
        super().__init__()

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        """Make the pools of connections, which are watched."""
        super().init_poolmanager(*args, **kwargs)
        self._watch(self.poolmanager)

    def proxy_manager_for(self, *args: Any, **kwargs: Any) -> urllib3.PoolManager:
        """Return the pools of connections through a proxy, which are watched as well."""
        return self._watch(super().proxy_manager_for(*args, **kwargs))

    @property
    def lateness(self) -> str:
        """What a request that is cut now waits for."""
        return self.connector.lateness if self.connector else LATE

    def cut(self) -> None:
        """Shut the socket; of a TLS connection below its TLS layer, which belongs to another thread."""
        self.is_cut = True
        # A connection that closes after its answer has let go of its socket when the body is read.
        in_use = self.connection.sock if self.connection else None
        for sock in (in_use, self.sock):
            if sock is not None:
                with contextlib.suppress(OSError):
                    socket.socket.shutdown(sock, socket.SHUT_RDWR)

    def _watch(self, manager: urllib3.PoolManager) -> urllib3.PoolManager:
        manager.pool_classes_by_scheme = {
            "http": _watched_pool(HTTPConnectionPool, self),
            "https": _watched_pool(HTTPSConnectionPool, self),
        }
        return manager


def _watched_pool(pool: type[HTTPConnectionPool], adapter: CuttableAdapter) -> type[HTTPConnectionPool]:
    """Return a pool class whose connections report to the adapter before they connect."""

    class Connection(pool.ConnectionCls):  # type: ignore[name-defined,misc]
        def connect(self) -> None:
            adapter.connection = self
            self._connector = Connector(self._dns_host, self.port, self._prepare, lambda: adapter.is_cut)
            adapter.connector = self._connector
            super().connect()
            adapter.sock, adapter.connector = self.sock, None
            if adapter.is_cut:
                adapter.cut()

        def _tunnel(self) -> None:
            try:
                super()._tunnel()
            except (OSError, http.client.HTTPException) as error:
                # urllib3 names the proxy only where the connection to it fails.
                raise urllib3.exceptions.ProxyError("CONNECT failed", error) from error

        def _new_conn(self) -> socket.socket:
            # In the place of urllib3's, which leaves the whole timeout to the first address.
            try:
                sock = self._connector.connect(self.timeout)
            except socket.gaierror as error:
                raise urllib3.exceptions.NameResolutionError(self.host, self, error) from error
            except TimeoutError as error:
                raise urllib3.exceptions.ConnectTimeoutError(self, str(error)) from error
            except OSError as error:
                raise urllib3.exceptions.NewConnectionError(self, str(error)) from error
            sock.settimeout(self.timeout)
            return sock

        def _prepare(self, sock: socket.socket) -> None:
            for option in self.socket_options or ():
                sock.setsockopt(*option)
            if self.source_address:
                sock.bind(self.source_address)

    return type(pool.__name__, (pool,), {"ConnectionCls": Connection})


def trusted(authorities: Authorities | None) -> str:
    """Return what to pass as `verify` with each request: without it, requests reads the environment."""
    return str(authorities.path) if authorities else DEFAULT_CA_BUNDLE_PATH


def check_status(response: requests.Response, is_from_server: bool = True) -> None:
    """Raise `GatewayError` unless the status is one of success.

    Args:
        response: Its body is not read.
        is_from_server: False for an answer that a proxy may have made, if one forwarded the request.
    """
    status = response.status_code
    if 200 <= status < 300:
        return
    _check_proxy(response, is_from_server)
    outcome = OUTCOME_BY_STATUS.get(status) or OUTCOME_BY_CLASS.get(status // 100, Outcome.SERVER_ERROR)
    raise GatewayError(outcome, f"HTTP status {status}", retry_after=_retry_after(response))


def _check_proxy(response: requests.Response, is_from_server: bool) -> None:
    """Raise `GatewayError` for an answer of the proxy; in the tunnel of https:// no proxy can answer."""
    proxy = proxy_for(response.url, os.environ) if urlsplit(response.url).scheme == "http" else None
    if proxy is None:
        return
    status = response.status_code
    if status == PROXY_AUTHENTICATION_REQUIRED:
        raise GatewayError(Outcome.PROXY, f"{proxy}: HTTP status {status}")
    if not is_from_server:
        raise GatewayError(
            Outcome.PROXY,
            f"{proxy}, or a server behind it: HTTP status {status}, not in the gateway's form",
            retry_after=_retry_after(response),
        )


def _retry_after(response: requests.Response) -> float | None:
    try:
        return urllib3.Retry().get_retry_after(response.raw)
    except (urllib3.exceptions.InvalidHeader, ValueError, OverflowError):
        return None


@contextlib.contextmanager
def translated(proxy: Proxy | None = None) -> Iterator[None]:
    """Turn every exception of the layers below into a `GatewayError`, which names the proxy if it failed."""
    try:
        yield
    # urllib3 lets a ValueError of its own through where a chunk has a negative length.
    except (requests.RequestException, urllib3.exceptions.HTTPError, OSError, ValueError) as error:
        raise _failure(tuple(_causes(error)), proxy) from error


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Walk an exception and all that it wraps; requests and urllib3 wrap in arguments, too."""
    pending, seen = [error], set()
    while pending:
        cause = pending.pop(0)
        if id(cause) not in seen:
            seen.add(id(cause))
            yield cause
            wrapped = (*cause.args, getattr(cause, "reason", None), cause.__cause__, cause.__context__)
            pending += [inner for inner in wrapped if isinstance(inner, BaseException)]


def _failure(causes: Sequence[BaseException], proxy: Proxy | None) -> GatewayError:
    outcome, detail = _outcome(causes), _detail(causes)
    is_of_proxy = any(isinstance(cause, urllib3.exceptions.ProxyError) for cause in causes)
    if proxy is None or not is_of_proxy or outcome is Outcome.TIMEOUT:
        return GatewayError(outcome, detail)
    status = _tunnel_status(causes)
    if status is None:
        is_transient = outcome in (Outcome.CONNECT, Outcome.DNS)
        return GatewayError(Outcome.PROXY, f"{proxy}: {detail}", is_transient=is_transient)
    is_transient = status in RETRIED_STATUS
    return GatewayError(Outcome.PROXY, f"{proxy}: HTTP status {status} to CONNECT", is_transient=is_transient)


def _tunnel_status(causes: Sequence[BaseException]) -> int | None:
    matches = (TUNNEL_REFUSED.match(str(cause)) for cause in causes if isinstance(cause, OSError))
    return next((int(match[1]) for match in matches if match), None)


def _outcome(causes: Sequence[BaseException]) -> Outcome:
    if _is_tls_alert(causes):
        return Outcome.TLS
    return _first(OUTCOME_BY_CAUSE, causes) or Outcome.CONNECT


def _detail(causes: Sequence[BaseException]) -> str:
    """Return the operating system's or TLS library's own words; the texts of requests hold the URL."""
    for cause in causes:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return str(cause.verify_message)
        if isinstance(cause, ssl.SSLError) and cause.reason:
            return cause.reason.replace("_", " ").lower()
        if isinstance(cause, OSError) and cause.strerror:
            return str(cause.strerror)
    if _is_tls_alert(causes):
        return "the port speaks TLS: it needs https://"
    return _first(DETAIL_BY_CAUSE, causes) or type(causes[-1]).__name__


def _is_tls_alert(causes: Sequence[BaseException]) -> bool:
    """Tell whether plain HTTP was answered by a TLS port."""
    lines = (str(cause.args[0]) for cause in causes if isinstance(cause, http.client.BadStatusLine))
    return any(line.startswith(TLS_ALERT) for line in lines)


def _first(rows: Sequence[tuple[type[BaseException], T]], causes: Sequence[BaseException]) -> T | None:
    """Return what the first row says of which any of the causes is an instance."""
    return next((said for kind, said in rows if any(isinstance(cause, kind) for cause in causes)), None)
