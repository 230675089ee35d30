"""Fetches one endpoint of the gateway, with redirects, retries and a size limit.

No attempt starts after the deadline. The poll loop aborts one that is still running then, since a socket
timeout does not limit a request: it restarts with each byte.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import count
from urllib.parse import SplitResult, urljoin, urlsplit

from exporter.clock import Clock
from exporter.errors import GatewayError, Outcome
from exporter.files.secret import Secret
from exporter.gateway.credentials import AdminKey
from exporter.model.endpoints import Endpoint
from exporter.transport.auth import HeaderAuth, bearer
from exporter.transport.authorities import Authorities
from exporter.transport.connections import ActiveConnection
from exporter.transport.failures import NO_ANSWER, RETRIED_STATUS, check_status, translated
from exporter.transport.session import Response, Session, read_body

MAX_TRIES = 3
MAX_REDIRECTS = 5
FIRST_BACKOFF_SECONDS = 0.25
MAX_DETAIL = 128
RETRIED_OUTCOMES = frozenset({Outcome.CONNECT, Outcome.DNS, Outcome.RATE_LIMITED})
PROXY_STATUS = frozenset({403, 502, 503, 504})
"""Status codes of a proxy that refuses or cannot forward a plain http:// request."""


@dataclass(frozen=True, slots=True)
class Reply:
    """A response with status 200 to 299; the body is decompressed."""

    body: bytes
    status: int
    attempts: int
    request_id: str | None


class GatewayClient:
    """Fetches one endpoint; for one thread at a time, while any other may `abort` it."""

    def __init__(
        self,
        endpoint: Endpoint,
        base_url: str,
        key: AdminKey,
        clock: Clock,
        authorities: Authorities | None = None,
    ) -> None:
        """Prepare a session; no request is sent yet."""
        base = urlsplit(base_url)
        self._endpoint = endpoint
        self._base = base
        self._origin = _origin(base)
        self._first_target = _target(base.path + endpoint.path, endpoint.query)
        self._slash_target = _target(f"{base.path}{endpoint.path}/", endpoint.query)
        self._target = self._first_target
        self._clock = clock
        self._attempts = 0
        self._status: int | None = None
        self._request_id: str | None = None
        self._connection = ActiveConnection()
        # An `auth` object: requests would replace a header by an entry of ~/.netrc.
        self._key = _KeyHeader(key)
        self._session = self._open_session()
        self._authorities = authorities

    def get(self, deadline: float) -> Reply:
        """Send the request, follow redirects, and retry transient failures.

        Args:
            deadline: By the clock's `age`. A peer that sends slowly can delay the return beyond it, until
                `abort`.

        Raises:
            GatewayError: With any outcome but `ok` and those of decoding.
        """
        self._attempts = 0
        self._connection.reset()
        for failures in count(1):
            try:
                return self._get_by_redirects(deadline)
            except GatewayError as error:
                self._describe(error)
                self.reset_redirect()
                delay = self._retry_delay(error, failures)
                if delay is None or self._connection.is_aborted or self._clock.age() + delay >= deadline:
                    raise
            self._clock.sleep(delay)
        raise AssertionError  # pragma: no cover - the loop above has no end

    def abort(self) -> GatewayError:
        """Abort a `get` in another thread, which then returns soon.

        Returns:
            The timeout to report instead of its result, with the attempts, status and request id so far.
        """
        error = GatewayError(Outcome.TIMEOUT, self._connection.timeout_detail)
        # Before the abort, after which the other thread changes them.
        self._describe(error)
        self._connection.abort()
        return error

    def reset_redirect(self) -> None:
        """Reset the redirect target: the next fetch starts at the configured URL."""
        self._target = self._first_target

    def close(self) -> None:
        """Close the connections."""
        self._session.close()

    def _open_session(self) -> Session:
        session = Session(self._connection)
        session.headers["Accept"] = "application/json"
        session.auth = HeaderAuth(self._key)
        return session

    def _get_by_redirects(self, deadline: float) -> Reply:
        visited: set[str] = set()
        for _ in range(MAX_REDIRECTS + 1):
            visited.add(self._target)
            with self._send(deadline) as response, translated():
                self._status, self._request_id = response.status_code, _request_id(response)
                location = self._location(response)
                if location is None:
                    return self._reply(response)
                # The next polls start there.
                self._target = self._redirected(location)
                if self._target in visited:
                    raise GatewayError(Outcome.REDIRECT, "a redirect loop")
        raise GatewayError(Outcome.REDIRECT, f"more than {MAX_REDIRECTS} redirects")

    def _send(self, deadline: float) -> Response:
        remaining = deadline - self._clock.age()
        if remaining <= 0:
            raise GatewayError(Outcome.TIMEOUT, NO_ANSWER)
        self._attempts, self._status, self._request_id = self._attempts + 1, None, None
        return self._session.open(self._origin + self._target, remaining, self._authorities)

    def _retry_delay(self, error: GatewayError, failures: int) -> float | None:
        """Return the seconds before the next attempt, None for no attempt."""
        if failures >= MAX_TRIES:
            return None
        if error.outcome is Outcome.UNAUTHORIZED and self._key.has_changed():
            return 0.0
        is_retried = error.outcome in RETRIED_OUTCOMES or error.status in RETRIED_STATUS
        if not is_retried and not error.is_transient:
            return None
        backoff = FIRST_BACKOFF_SECONDS * 2 ** (failures - 1)
        return backoff if error.retry_after is None else error.retry_after

    def _describe(self, error: GatewayError) -> None:
        error.attempts, error.status, error.request_id = self._attempts, self._status, self._request_id

    def _location(self, response: Response) -> str | None:
        try:
            return self._session.get_redirect_target(response)
        except UnicodeError as error:
            raise GatewayError(Outcome.REDIRECT, "to an address that is no URL") from error

    def _redirected(self, location: str) -> str:
        """Return path and query of a redirect; scheme, host and port stay as configured."""
        url = self._resolved(location)
        is_http = url.scheme in ("http", "https")
        if is_http and self._adds_slash(url):
            return self._slash_target
        if not is_http or url.hostname != self._base.hostname:
            raise GatewayError(Outcome.REDIRECT, f"to another place: {_origin(url)}"[:MAX_DETAIL])
        self._check_scheme(url)
        # A `Location` without our query would return a list without inactive providers.
        return _target(url.path or "/", url.query or self._endpoint.query)

    def _resolved(self, location: str) -> SplitResult:
        try:
            url = urlsplit(urljoin(self._origin + self._target, location))
            _ = url.port  # Raises ValueError for an invalid port.
        except ValueError as error:
            raise GatewayError(Outcome.REDIRECT, "to an address that is no URL") from error
        return url

    def _adds_slash(self, url: SplitResult) -> bool:
        """Return whether it is the gateway's redirect to our path with a slash, which is followed once.

        Host, port and prefix are ignored: the gateway takes them from a request that a proxy can change.
        """
        return url.path.endswith(f"{self._endpoint.path}/") and self._target != self._slash_target

    def _check_scheme(self, url: SplitResult) -> None:
        """Raise `GatewayError` for a redirect from http:// to https://: each poll would expose the key.

        The redirect that adds a slash is not checked: behind a TLS proxy, the gateway itself can send it.
        """
        if (self._base.scheme, url.scheme) == ("http", "https"):
            root = _origin(url) + url.path.rstrip("/").removesuffix(self._endpoint.path)
            raise GatewayError(
                Outcome.REDIRECT, f"it redirects to {root[:MAX_DETAIL]}: set GATEWAY_API_URL to that"
            )

    def _reply(self, response: Response) -> Reply:
        check_status(response, _is_from_gateway(response))
        body = read_body(response, self._connection, self._endpoint.max_bytes)
        return Reply(body, response.status_code, self._attempts, self._request_id)


class _KeyHeader:
    """Returns the header with the current key."""

    def __init__(self, key: AdminKey) -> None:
        self._key = key
        self._sent: Secret | None = None

    def __call__(self) -> str:
        self._sent = self._key.current()
        return bearer(self._sent)

    def has_changed(self) -> bool:
        """Return whether the key has changed since it was last sent."""
        return self._key.current() is not self._sent


def _origin(url: SplitResult) -> str:
    """Return scheme, host and port, without credentials."""
    return f"{url.scheme}://{url.netloc.rpartition('@')[2]}"


def _target(path: str, query: str) -> str:
    return f"{path}?{query}" if query else path


def _is_from_gateway(response: Response) -> bool:
    """Return whether the gateway responded, with JSON or a request id, and not a proxy with its page."""
    if response.status_code not in PROXY_STATUS or _request_id(response):
        return True
    return "json" in response.headers.get("Content-Type", "").lower()


def _request_id(response: Response) -> str | None:
    text = response.headers.get("x-request-id")
    return text[:MAX_DETAIL] if text else None
