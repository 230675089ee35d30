"""Translates exceptions of requests, urllib3 and sockets, and HTTP status codes, into `GatewayError`.

It is also the adapter to http.client. Two of its texts are not documented: `TUNNEL_REFUSED` and the argument
of `BadStatusLine`. Seen in Python 3.11. tests/transport/test_session.py and test_broken_response in
tests/gateway/test_client.py fail first when a later version differs.
"""

from __future__ import annotations

import contextlib
import http.client
import os
import re
import ssl
from collections.abc import Iterator, Sequence
from types import MappingProxyType
from typing import TypeVar
from urllib.parse import urlsplit

import requests
import urllib3

from exporter.errors import GatewayError, Outcome
from exporter.transport.connecting import NO_CONNECTION
from exporter.transport.proxies import Proxy, proxy_for

T = TypeVar("T")

OUTCOME_BY_STATUS = MappingProxyType(
    {401: Outcome.UNAUTHORIZED, 403: Outcome.FORBIDDEN, 429: Outcome.RATE_LIMITED}
)
OUTCOME_BY_CLASS = MappingProxyType({3: Outcome.REDIRECT, 4: Outcome.CLIENT_ERROR})
"""By the first digit of the status; any other status is `server_error`."""

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
"""The first row that matches any exception of a chain is used; `connect` if none does."""

NO_ANSWER = "no complete answer before the deadline"
DETAIL_BY_CAUSE: tuple[tuple[type[BaseException], str], ...] = (
    (urllib3.exceptions.NameResolutionError, "no address for the host name"),
    (urllib3.exceptions.ConnectTimeoutError, NO_CONNECTION),
    (urllib3.exceptions.TimeoutError, NO_ANSWER),
    (TimeoutError, NO_ANSWER),
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
"""Texts for operators, if the exception has none; the first row that matches is used."""
PROXY_AUTHENTICATION_REQUIRED = 407
RETRIED_STATUS = frozenset({502, 503, 504})
"""Status codes of a server or proxy whose upstream is unavailable."""
TUNNEL_REFUSED = re.compile(r"Tunnel connection failed: (\d+)")
"""The message of an `OSError`, which is the only source of the status of a CONNECT."""
TLS_ALERT = "\x15\x03"
"""Start of a TLS port's answer to plain HTTP."""


def check_status(response: requests.Response, is_from_server: bool = True) -> None:
    """Check that the status is 200 to 299.

    Args:
        response: Its body is not read.
        is_from_server: False if the answer can be from the proxy that forwarded the request.

    Raises:
        GatewayError: For any other status.
    """
    status = response.status_code
    if 200 <= status < 300:
        return
    _check_proxy(response, is_from_server)
    outcome = OUTCOME_BY_STATUS.get(status) or OUTCOME_BY_CLASS.get(status // 100, Outcome.SERVER_ERROR)
    raise GatewayError(outcome, f"HTTP status {status}", retry_after=_retry_after(response))


def _check_proxy(response: requests.Response, is_from_server: bool) -> None:
    """Raise `GatewayError` for an answer of the proxy, which cannot answer in a tunnel for https://."""
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
    """Raise a `GatewayError` for every exception of the layers below; it names a proxy that failed."""
    try:
        yield
    # urllib3 raises a bare ValueError for a chunk with a negative length.
    except (requests.RequestException, urllib3.exceptions.HTTPError, OSError, ValueError) as error:
        raise _failure(tuple(_causes(error)), proxy) from error


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield an exception and all that it wraps; requests and urllib3 also wrap in arguments."""
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
    """Return the text of the operating system or TLS library; the texts of requests contain the URL."""
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
    """Return whether a TLS port has answered plain HTTP."""
    lines = (str(cause.args[0]) for cause in causes if isinstance(cause, http.client.BadStatusLine))
    return any(line.startswith(TLS_ALERT) for line in lines)


def _first(rows: Sequence[tuple[type[BaseException], T]], causes: Sequence[BaseException]) -> T | None:
    """Return the value of the first row whose type matches any of the causes."""
    return next((value for kind, value in rows if any(isinstance(cause, kind) for cause in causes)), None)
