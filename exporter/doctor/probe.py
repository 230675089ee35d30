"""Questions of `doctor` to any server: one GET, bounded in time and size, that follows no redirect.

Every exception of the layers below becomes a `NoAnswer`.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from functools import partial
from types import MappingProxyType
from typing import TypeVar

import msgspec

from exporter import SERVICE_NAME, __version__
from exporter.clock import Clock
from exporter.doctor.targets import Identity
from exporter.errors import ExporterError, GatewayError, Outcome, ThreadError
from exporter.system.threads import start
from exporter.transport.auth import HeaderAuth, basic, bearer
from exporter.transport.authorities import Authorities
from exporter.transport.connections import ActiveConnection
from exporter.transport.failures import check_status, translated
from exporter.transport.session import Response, Session

T = TypeVar("T")

REQUEST_SECONDS = 5.0
"""From the beginning of a request to the last byte of its answer."""
MAX_BYTES = 64 * 1024 * 1024
"""Of an answer; the exposition of 10,000 providers has a quarter of it."""
CHUNK_BYTES = 64 * 1024
WRONG_ANSWER = frozenset({Outcome.NOT_JSON, Outcome.WRONG_SHAPE})


class NoAnswer(ExporterError):  # noqa: N818 - it is no error of ours, but what was found
    """A server did not answer as it should.

    Attributes:
        outcome: What kind of failure it is, never `ok`.
        detail: What was seen, in a few words that hold no secret and no body text.
        status: HTTP status, if there was an answer.
    """

    def __init__(self, outcome: Outcome, detail: str, status: int | None = None) -> None:
        """Describe the failure."""
        super().__init__(detail)
        self.outcome = outcome
        self.detail = detail
        self.status = status


@dataclass(frozen=True, slots=True)
class Reply:
    """A good answer: status 200 to 299, the body decompressed."""

    body: bytes
    date: float | None
    """Unix time by the server's clock, if it told."""

    def decoded(self, kind: type[T]) -> T:
        """Return the JSON document in the body.

        Raises:
            NoAnswer: When it is none, or of another shape.
        """
        try:
            return msgspec.json.decode(self.body, type=kind)
        except msgspec.ValidationError as error:
            raise NoAnswer(Outcome.WRONG_SHAPE, "JSON of another shape") from error
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise NoAnswer(Outcome.NOT_JSON, "no JSON") from error


def get(
    url: str,
    clock: Clock,
    parameters: Mapping[str, str | list[str]] = MappingProxyType({}),
    identity: Identity | None = None,
    seconds: float = REQUEST_SECONDS,
    authorities: Authorities | None = None,
) -> Reply:
    """Ask once.

    Args:
        url: What is asked, without query.
        clock: Whose `receive` bounds the time.
        parameters: The query.
        identity: As whom; None sends nothing, not even what ~/.netrc has.
        seconds: Until the answer is complete.
        authorities: Whose certificates are trusted; None: those that requests ships.

    Raises:
        NoAnswer: When the status is not one of success, or no complete answer came in time.
    """
    request = _Request(url, parameters, identity, seconds, authorities)
    inbox: queue.SimpleQueue[Reply | NoAnswer] = queue.SimpleQueue()
    try:
        start(threading.Thread(target=request.run, args=(inbox,), name="inquiry", daemon=True))
    except ThreadError as error:
        raise NoAnswer(Outcome.INTERNAL, str(error)) from error
    result = clock.receive(inbox, seconds)
    if result is None:
        request.connection.abort()
        raise NoAnswer(Outcome.TIMEOUT, f"no complete answer within {seconds:g} s")
    if isinstance(result, NoAnswer):
        raise result
    return result


class _Request:
    """One request in a thread of its own, so that a peer that drips byte by byte holds nobody."""

    def __init__(
        self,
        url: str,
        parameters: Mapping[str, str | list[str]],
        identity: Identity | None,
        seconds: float,
        authorities: Authorities | None,
    ) -> None:
        self._url = url
        self._parameters = parameters
        self._seconds = seconds
        self._auth = HeaderAuth(partial(authorization, identity))
        self._authorities = authorities
        self.connection = ActiveConnection()

    def run(self, inbox: queue.SimpleQueue[Reply | NoAnswer]) -> None:
        """Bring the answer, or why there is none, to `inbox`."""
        try:
            with translated():
                inbox.put(self._get())
        except GatewayError as error:
            inbox.put(NoAnswer(error.outcome, error.detail, error.status))
        except Exception as error:
            inbox.put(NoAnswer(Outcome.INTERNAL, type(error).__name__))

    def _get(self) -> Reply:
        with Session(self.connection) as session:
            session.headers["User-Agent"] = f"{SERVICE_NAME}/{__version__}"
            session.headers["Accept"] = "application/json, text/plain;q=0.9, */*;q=0.1"
            session.auth = self._auth
            with session.open(self._url, self._seconds, self._authorities, self._parameters) as response:
                return _reply(response)


def authorization(identity: Identity | None) -> str | None:
    """Return the `Authorization` header for an identity, None for an anonymous request."""
    if identity is None:
        return None
    return bearer(identity.secret) if identity.user is None else basic(identity.user, identity.secret)


def _reply(response: Response) -> Reply:
    try:
        check_status(response)
    except GatewayError as error:
        error.status = response.status_code
        raise
    body = bytearray()
    for chunk in response.iter_content(CHUNK_BYTES):
        body += chunk
        if len(body) > MAX_BYTES:
            raise GatewayError(Outcome.TOO_LARGE, f"more than {MAX_BYTES} bytes")
    return Reply(bytes(body), _date(response.headers.get("Date", "")))


def _date(text: str) -> float | None:
    try:
        return parsedate_to_datetime(text).timestamp()
    except (ValueError, OverflowError):
        return None
