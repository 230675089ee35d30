"""The gateway over HTTP: bearer key, redirects to the same host, retries, size limit, deadline.

Every exception of `requests`, `urllib3` and the sockets below is translated here into `GatewayError`.
"""

from __future__ import annotations

import contextlib
import http.client
import io
import socket
import ssl
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from types import MappingProxyType
from typing import Any, TypeVar
from urllib.parse import urljoin, urlsplit

import requests
import urllib3
from requests.adapters import HTTPAdapter
from requests.auth import AuthBase
from urllib3.connection import HTTPConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from exporter import SERVICE_NAME, __version__
from exporter.clock import Clock
from exporter.credentials import AdminKey, Secret
from exporter.endpoints import Endpoint
from exporter.errors import GatewayError, Outcome

T = TypeVar("T")

MAX_TRIES = 3
MAX_REDIRECTS = 5
FIRST_BACKOFF_SECONDS = 0.25
CHUNK_BYTES = 64 * 1024
MAX_DETAIL = 128
RETRIED_OUTCOMES = frozenset({Outcome.CONNECT, Outcome.DNS, Outcome.RATE_LIMITED})
RETRIED_STATUS = frozenset({502, 503, 504})

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
NO_CONNECTION = "no connection before the deadline"
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
TLS_ALERT = "\x15\x03"
"""What a TLS port begins to say to somebody who speaks plain HTTP."""


@dataclass(frozen=True, slots=True)
class Reply:
    """A good answer: status 200 to 299, the body decompressed."""

    body: bytes
    status: int
    attempts: int
    request_id: str | None


class GatewayClient:
    """Asks one endpoint of the gateway; for one thread at a time, while another may `cut` it."""

    def __init__(self, endpoint: Endpoint, base_url: str, key: AdminKey, clock: Clock) -> None:
        """Prepare a session; nothing is sent yet."""
        base = urlsplit(base_url)
        self._endpoint = endpoint
        self._host = base.hostname
        self._origin = f"{base.scheme}://{base.netloc}"
        self._first_target = _target(base.path + endpoint.path, endpoint.query)
        self._target = self._first_target
        self._clock = clock
        self._attempts = 0
        self._status: int | None = None
        self._request_id: str | None = None
        self._adapter = CuttableAdapter()
        # An `auth` object and not a header, which requests would replace by an entry of ~/.netrc.
        self._auth = _BearerAuth(key)
        self._session = self._open_session()

    def get(self, deadline: float) -> Reply:
        """Ask, follow redirects, and try again where that makes sense.

        Args:
            deadline: By the clock's `age`; no attempt begins after it. A peer that drips byte by byte can
                hold this call beyond it, until `cut`.

        Raises:
            GatewayError: With any outcome but `ok` and those of decoding.
        """
        self._attempts = 0
        self._adapter.is_cut = self._adapter.is_connecting = False
        for failures in count(1):
            try:
                return self._get_by_redirects(deadline)
            except GatewayError as error:
                self._describe(error)
                self.forget_redirect()
                delay = self._retry_delay(error, failures)
                if delay is None or self._adapter.is_cut or self._clock.age() + delay >= deadline:
                    raise
            self._clock.sleep(delay)
        raise AssertionError  # pragma: no cover - the loop above has no end

    def cut(self) -> GatewayError:
        """Break off a `get` in another thread, which comes back as soon as its connection breaks.

        Returns:
            The timeout that takes the place of its result, with what is known of it so far.
        """
        error = GatewayError(Outcome.TIMEOUT, NO_CONNECTION if self._adapter.is_connecting else LATE)
        # Before the other thread goes on, for which the end of the connection is the end of the headers.
        self._describe(error)
        self._adapter.cut()
        return error

    def forget_redirect(self) -> None:
        """Begin at the documented address again: where the last fetch was sent, no good answer was."""
        self._target = self._first_target

    def close(self) -> None:
        """Close what connections are kept open for the next poll."""
        self._session.close()

    def _open_session(self) -> requests.Session:
        session = Session()
        session.mount("http://", self._adapter)
        session.mount("https://", self._adapter)
        session.headers.update({"User-Agent": f"{SERVICE_NAME}/{__version__}", "Accept": "application/json"})
        session.auth = self._auth
        return session

    def _get_by_redirects(self, deadline: float) -> Reply:
        for _ in range(MAX_REDIRECTS + 1):
            with self._send(deadline) as response, translated():
                self._status, self._request_id = response.status_code, _request_id(response)
                location = self._location(response)
                if location is None:
                    return self._reply(response)
                # Remembered for the next polls, too.
                self._target = self._target_on_same_host(location)
        raise GatewayError(Outcome.REDIRECT, f"more than {MAX_REDIRECTS} redirects")

    def _send(self, deadline: float) -> requests.Response:
        remaining = deadline - self._clock.age()
        if remaining <= 0:
            raise GatewayError(Outcome.TIMEOUT, LATE)
        self._attempts, self._status, self._request_id = self._attempts + 1, None, None
        url = self._origin + self._target
        with translated():
            return self._session.get(url, timeout=remaining, allow_redirects=False, stream=True)

    def _retry_delay(self, error: GatewayError, failures: int) -> float | None:
        """Return the seconds to wait before the next try, or None when none makes sense."""
        if failures >= MAX_TRIES:
            return None
        if error.outcome is Outcome.UNAUTHORIZED and self._auth.has_changed():
            return 0.0
        if error.outcome not in RETRIED_OUTCOMES and error.status not in RETRIED_STATUS:
            return None
        backoff = FIRST_BACKOFF_SECONDS * 2 ** (failures - 1)
        return backoff if error.retry_after is None else error.retry_after

    def _describe(self, error: GatewayError) -> None:
        error.attempts, error.status, error.request_id = self._attempts, self._status, self._request_id

    def _location(self, response: requests.Response) -> str | None:
        try:
            return self._session.get_redirect_target(response)
        except UnicodeError as error:
            raise GatewayError(Outcome.REDIRECT, "to an address that is no URL") from error

    def _target_on_same_host(self, location: str) -> str:
        """Take path and query only: behind a TLS proxy the gateway's own `Location` says http://."""
        try:
            url = urlsplit(urljoin(self._origin + self._target, location))
            same_host = url.scheme in ("http", "https") and url.hostname == self._host
        except ValueError as error:
            raise GatewayError(Outcome.REDIRECT, "to an address that is no URL") from error
        if not same_host:
            raise GatewayError(
                Outcome.REDIRECT, f"to another place: {url.scheme}://{url.hostname or ''}"[:MAX_DETAIL]
            )
        # A redirect that forgets our query would bring a list without its inactive providers.
        return _target(url.path or "/", url.query or self._endpoint.query)

    def _reply(self, response: requests.Response) -> Reply:
        check_status(response)
        body = self._read(response)
        return Reply(body, response.status_code, self._attempts, self._request_id)

    def _read(self, response: requests.Response) -> bytes:
        """Read the body, counting after decompression."""
        # Unlike any other buffer it gives its bytes away without copying them.
        body = io.BytesIO()
        for chunk in response.iter_content(CHUNK_BYTES):
            if self._adapter.is_cut:
                # What has come already may take long to decompress.
                raise GatewayError(Outcome.TIMEOUT, LATE)
            body.write(chunk)
            if body.tell() > self._endpoint.max_bytes:
                raise GatewayError(Outcome.TOO_LARGE, f"more than {self._endpoint.max_bytes} bytes")
        return body.getvalue()


class Session(requests.Session):
    """Leaves redirects to us: requests would parse them, and read their bodies whole, even if told not to."""

    def resolve_redirects(self, *args: Any, **kwargs: Any) -> Iterator[requests.Response]:
        """Find none."""
        return iter(())


class _BearerAuth(AuthBase):
    """Puts the key in force on each request."""

    def __init__(self, key: AdminKey) -> None:
        self._key = key
        self._sent: Secret | None = None

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        self._sent = self._key.current()
        request.headers["Authorization"] = f"Bearer {self._sent.reveal()}"
        return request

    def has_changed(self) -> bool:
        """Tell whether the key in force is another one than that which was sent last."""
        return self._key.current() is not self._sent


class CuttableAdapter(HTTPAdapter):
    """Remembers the connection that was opened last, which is the one in use, to shut it from outside.

    A socket timeout cannot do that: it starts anew with each byte that arrives.
    """

    def __init__(self) -> None:
        """Begin without a connection."""
        self.connection: HTTPConnection | None = None
        self.sock: socket.socket | None = None
        self.is_cut = False
        self.is_connecting = False
        super().__init__()

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        """Make the pools of connections, which are watched."""
        super().init_poolmanager(*args, **kwargs)
        self._watch(self.poolmanager)

    def proxy_manager_for(self, *args: Any, **kwargs: Any) -> urllib3.PoolManager:
        """Return the pools of connections through a proxy, which are watched as well."""
        return self._watch(super().proxy_manager_for(*args, **kwargs))

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
            adapter.connection, adapter.is_connecting = self, True
            super().connect()
            adapter.sock, adapter.is_connecting = self.sock, False
            if adapter.is_cut:
                adapter.cut()

    return type(pool.__name__, (pool,), {"ConnectionCls": Connection})


def _target(path: str, query: str) -> str:
    return f"{path}?{query}" if query else path


def check_status(response: requests.Response) -> None:
    """Raise `GatewayError` unless the status is one of success."""
    status = response.status_code
    if 200 <= status < 300:
        return
    outcome = OUTCOME_BY_STATUS.get(status) or OUTCOME_BY_CLASS.get(status // 100, Outcome.SERVER_ERROR)
    raise GatewayError(outcome, f"HTTP status {status}", retry_after=_retry_after(response))


def _retry_after(response: requests.Response) -> float | None:
    try:
        return urllib3.Retry().get_retry_after(response.raw)
    except (urllib3.exceptions.InvalidHeader, ValueError, OverflowError):
        return None


def _request_id(response: requests.Response) -> str | None:
    text = response.headers.get("x-request-id")
    return text[:MAX_DETAIL] if text else None


@contextlib.contextmanager
def translated() -> Iterator[None]:
    """Turn every exception of the layers below into a `GatewayError`."""
    try:
        yield
    # urllib3 lets a ValueError of its own through where a chunk has a negative length.
    except (requests.RequestException, urllib3.exceptions.HTTPError, OSError, ValueError) as error:
        causes = tuple(_causes(error))
        raise GatewayError(_outcome(causes), _detail(causes)) from error


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
