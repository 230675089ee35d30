"""The exporter's exceptions, and the outcomes of a fetch.

ExporterError
├── SettingsError   the configuration is invalid              exit code 2
├── ListenError     the listen address cannot be bound        exit code 3
├── ThreadError     the system refuses another thread         one fetch, response or push is skipped
└── GatewayError    one fetch failed, with its `Outcome`      the poll continues

Only `transport.failures` and `gateway.decode` translate exceptions of other libraries into `GatewayError`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from types import MappingProxyType


class Outcome(StrEnum):
    """Outcome of a fetch: label `outcome`, span attribute `error.type`, log field `outcome`."""

    OK = "ok"
    TIMEOUT = "timeout"
    DNS = "dns"
    CONNECT = "connect"
    TLS = "tls"
    PROXY = "proxy"
    REDIRECT = "redirect"
    UNAUTHORIZED = "unauthorized"
    FORBIDDEN = "forbidden"
    RATE_LIMITED = "rate_limited"
    CLIENT_ERROR = "client_error"
    SERVER_ERROR = "server_error"
    TOO_LARGE = "too_large"
    NOT_JSON = "not_json"
    WRONG_SHAPE = "wrong_shape"
    EMPTY = "empty"
    INTERNAL = "internal"


HINTS: Mapping[Outcome, str] = MappingProxyType(
    {
        Outcome.OK: "",
        Outcome.TIMEOUT: "The gateway did not answer in time: check its load and its database; check DNS and "
        "network if there was no connection; or raise FETCH_TIMEOUT.",
        Outcome.DNS: "The host name in GATEWAY_API_URL cannot be resolved: check its spelling and the DNS "
        "of this machine.",
        Outcome.CONNECT: "The connection to the gateway failed or broke: check that it runs and that host, "
        "port and http:// or https:// are correct.",
        Outcome.TLS: "The TLS handshake failed: check the certificate's dates, name and issuer; a private CA "
        "goes into REQUESTS_CA_BUNDLE; https:// needs a TLS port.",
        Outcome.PROXY: "The proxy rejected the request to the gateway: check its address and credentials in "
        "HTTPS_PROXY, HTTP_PROXY or ALL_PROXY, and its rules; a host that needs no proxy goes into NO_PROXY.",
        Outcome.REDIRECT: "The gateway redirects to another host, which must not get the key: set "
        "GATEWAY_API_URL to the final address.",
        Outcome.UNAUTHORIZED: "The gateway rejected the key: put a valid admin key into ADMIN_KEY.",
        Outcome.FORBIDDEN: "The key is not an admin key: put the key of an administrator into ADMIN_KEY.",
        Outcome.RATE_LIMITED: "The gateway limits the requests: raise SCRAPE_INTERVAL, or find other clients "
        "that use the quota.",
        Outcome.CLIENT_ERROR: "The gateway rejected the request: check that GATEWAY_API_URL is its root, "
        "with https:// for a TLS port and without a path such as /v1.",
        Outcome.SERVER_ERROR: "The gateway failed: search its log for the request id. If only the list "
        "fails, one broken row in its providers table can be the cause.",
        Outcome.TOO_LARGE: "The answer exceeds the size limit: check that GATEWAY_API_URL is the gateway.",
        Outcome.NOT_JSON: "The answer is not JSON: check that GATEWAY_API_URL is the gateway and not a login "
        "page or proxy in front of it.",
        Outcome.WRONG_SHAPE: "The answer has an unexpected JSON structure: check that GATEWAY_API_URL is the "
        "gateway and that this exporter supports its version.",
        Outcome.EMPTY: "The gateway suddenly returns no providers, as it does when its database is down: "
        "check the database. If the providers were removed on purpose, restart the exporter.",
        Outcome.INTERNAL: "The exporter itself failed: if the system refuses a thread, check the limits of "
        "threads and memory. Otherwise this is a bug: please report it with this log record.",
    }
)


class ExporterError(Exception):
    """Base class of the exporter's errors."""


class SettingsError(ExporterError):
    """The configuration is invalid.

    Attributes:
        problems: One sentence for each problem, without secret values.
    """

    def __init__(self, problems: Sequence[str]) -> None:
        """Create an error with all problems, in the order of the settings."""
        super().__init__("; ".join(problems))
        self.problems = tuple(problems)


class ListenError(ExporterError):
    """The listen address cannot be bound; the text has host, port and reason."""


class ThreadError(ExporterError):
    """The system refuses another thread: the limit of processes or of memory is reached."""


class GatewayError(ExporterError):
    """One fetch failed.

    Attributes:
        outcome: Any outcome except `ok`.
        detail: A few words on what happened, without secrets and text of the body.
        status: HTTP status of the last attempt, if there was a response.
        retry_after: Seconds from the gateway's `Retry-After`, if any.
        is_transient: Whether a retry can succeed, if outcome and status do not imply it.
        attempts: Number of GET requests, including redirects and retries.
        request_id: The gateway's `x-request-id` of the last attempt, if any.
        names: Pairs of a variable in the hint and the name to print instead.
    """

    def __init__(
        self, outcome: Outcome, detail: str, *, retry_after: float | None = None, is_transient: bool = False
    ) -> None:
        """Create an error; the client adds attempts, status and request id."""
        super().__init__(f"{outcome}: {detail}")
        self.outcome = outcome
        self.detail = detail
        self.status: int | None = None
        self.retry_after = retry_after
        self.is_transient = is_transient
        self.attempts = 0
        self.request_id: str | None = None
        self.names: Sequence[tuple[str, str]] = ()

    @property
    def hint(self) -> str:
        """What to do, with the detail in parentheses."""
        text = HINTS[self.outcome]
        for variable, replacement in self.names:
            text = text.replace(variable, replacement)
        return f"{text} ({self.detail})"
