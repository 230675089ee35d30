"""One GET request, limited in time and size, without redirects; every failure is a `ProbeError`."""

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

from exporter.clock import Clock
from exporter.errors import ExporterError, GatewayError, Outcome, ThreadError
from exporter.system.threads import start
from exporter.transport.auth import Credentials, HeaderAuth, authorization
from exporter.transport.authorities import Authorities
from exporter.transport.connections import ActiveConnection
from exporter.transport.failures import check_status, translated
from exporter.transport.session import Response, Session, read_body

T = TypeVar("T")

REQUEST_SECONDS = 5.0
"""From the start of a request to the last byte of the response."""
MAX_BYTES = 64 * 1024 * 1024
"""Limit of a response body; the exposition of 10,000 providers has a quarter of it."""


class ProbeError(ExporterError):
    """A request failed.

    Attributes:
        outcome: The kind of failure, never `ok`.
        detail: What happened, in a few words without secrets or body text.
        status: HTTP status, if there was a response.
    """

    def __init__(self, outcome: Outcome, detail: str, status: int | None = None) -> None:
        """Describe the failure."""
        super().__init__(detail)
        self.outcome = outcome
        self.detail = detail
        self.status = status


@dataclass(frozen=True, slots=True)
class Reply:
    """A complete response with status 200 to 299, decompressed."""

    body: bytes
    date: float | None
    """Unix time of the Date header, None without one."""

    def decode(self, kind: type[T]) -> T:
        """Return the JSON document in the body.

        Raises:
            ProbeError: `not_json`, or `wrong_shape` for a document of another type.
        """
        try:
            return msgspec.json.decode(self.body, type=kind)
        except msgspec.ValidationError as error:
            raise ProbeError(Outcome.WRONG_SHAPE, "JSON of another shape") from error
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise ProbeError(Outcome.NOT_JSON, "not JSON") from error


def get(
    url: str,
    clock: Clock,
    parameters: Mapping[str, str | list[str]] = MappingProxyType({}),
    credentials: Credentials | None = None,
    seconds: float = REQUEST_SECONDS,
    authorities: Authorities | None = None,
    headers: Mapping[str, str] = MappingProxyType({}),
) -> Reply:
    """Send one GET request.

    Args:
        url: The URL without query.
        clock: Measures the deadline.
        parameters: The query.
        credentials: None sends no credentials, not even those of ~/.netrc.
        seconds: Deadline for the complete response.
        authorities: Trusted certificate authorities; None: those that requests ships.
        headers: Further headers.

    Raises:
        ProbeError: For anything but a complete response with status 200 to 299.
    """
    request = _Request(url, parameters, credentials, seconds, authorities, headers)
    results: queue.SimpleQueue[Reply | ProbeError] = queue.SimpleQueue()
    try:
        start(threading.Thread(target=request.run, args=(results,), name="probe", daemon=True))
    except ThreadError as error:
        raise ProbeError(Outcome.INTERNAL, str(error)) from error
    result = clock.receive(results, seconds)
    if result is None:
        request.connection.abort()
        raise _timeout(seconds)
    if isinstance(result, ProbeError):
        raise result
    return result


class _Request:
    """One request, made in a thread of its own: a socket timeout does not limit a slow stream of bytes."""

    def __init__(
        self,
        url: str,
        parameters: Mapping[str, str | list[str]],
        credentials: Credentials | None,
        seconds: float,
        authorities: Authorities | None,
        headers: Mapping[str, str],
    ) -> None:
        self._url = url
        self._parameters = parameters
        self._seconds = seconds
        self._auth = HeaderAuth(partial(authorization, credentials))
        self._authorities = authorities
        self._headers = headers
        self.connection = ActiveConnection()

    def run(self, results: queue.SimpleQueue[Reply | ProbeError]) -> None:
        """Put the reply or the error into `results`."""
        try:
            with translated():
                results.put(self._get())
        except GatewayError as error:
            # The timeout of the socket and the one of `get` can end in any order.
            is_timeout = error.outcome is Outcome.TIMEOUT
            failure = ProbeError(error.outcome, error.detail, error.status)
            results.put(_timeout(self._seconds) if is_timeout else failure)
        except Exception as error:
            results.put(ProbeError(Outcome.INTERNAL, type(error).__name__))

    def _get(self) -> Reply:
        with Session(self.connection) as session:
            session.headers["Accept"] = "application/json, text/plain;q=0.9, */*;q=0.1"
            session.headers.update(self._headers)
            session.auth = self._auth
            with session.open(self._url, self._seconds, self._authorities, self._parameters) as response:
                return self._reply(response)

    def _reply(self, response: Response) -> Reply:
        try:
            check_status(response)
        except GatewayError as error:
            error.status = response.status_code
            raise
        body = read_body(response, self.connection, MAX_BYTES)
        return Reply(body, _date(response.headers.get("Date", "")))


def _timeout(seconds: float) -> ProbeError:
    return ProbeError(Outcome.TIMEOUT, f"no complete response within {seconds:g} s")


def _date(text: str) -> float | None:
    try:
        return parsedate_to_datetime(text).timestamp()
    except (ValueError, OverflowError):
        return None
