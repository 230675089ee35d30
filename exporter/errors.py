"""What can go wrong, as values.

ExporterError
├── SettingsError   the environment cannot be used            exit code 2
├── ListenError     the metrics address cannot be bound       exit code 3
├── ThreadError     the system refuses another thread         one fetch, answer or push is left out
└── GatewayError    one fetch failed, with its `Outcome`      the poll goes on

Foreign exceptions are translated into `GatewayError` in `transport` and `decode`, nowhere else.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from types import MappingProxyType


class Outcome(StrEnum):
    """How a fetch ended: label `outcome`, span attribute `error.type` and log field alike."""

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
        Outcome.TIMEOUT: "The gateway did not answer in time: look at its load and its database, at the DNS "
        "and the network before it where there was no connection, or raise FETCH_TIMEOUT.",
        Outcome.DNS: "The host name in GATEWAY_API_URL cannot be resolved: check its spelling and the DNS "
        "of this machine.",
        Outcome.CONNECT: "No connection to the gateway, or it broke: check that it runs and that host, port "
        "and http:// or https:// are right.",
        Outcome.TLS: "The TLS handshake failed: check the certificate's dates, name and issuer; a private CA "
        "goes into REQUESTS_CA_BUNDLE; https:// needs a TLS port.",
        Outcome.PROXY: "The proxy did not let the request through to the gateway: check its address and "
        "credentials in HTTPS_PROXY, HTTP_PROXY or ALL_PROXY, and its rules; a host that needs no proxy goes "
        "into NO_PROXY.",
        Outcome.REDIRECT: "The gateway redirects elsewhere, and the key is not sent there: set "
        "GATEWAY_API_URL to the final address.",
        Outcome.UNAUTHORIZED: "The gateway does not know this key: put a valid admin key into ADMIN_KEY.",
        Outcome.FORBIDDEN: "The gateway wants an admin key: put the key of an administrator into ADMIN_KEY.",
        Outcome.RATE_LIMITED: "The gateway limits our requests: raise SCRAPE_INTERVAL or look for others "
        "that use its quota.",
        Outcome.CLIENT_ERROR: "The gateway refused the request: check that GATEWAY_API_URL is its root, "
        "with https:// for a TLS port and without a path such as /v1.",
        Outcome.SERVER_ERROR: "The gateway failed: look for the request id in its log. When only the list "
        "fails, one broken row in its providers table is enough.",
        Outcome.TOO_LARGE: "The answer is over the size limit: check that GATEWAY_API_URL is the gateway.",
        Outcome.NOT_JSON: "The answer is not JSON: check that GATEWAY_API_URL is the gateway and not a "
        "login page or proxy before it.",
        Outcome.WRONG_SHAPE: "The answer is JSON of another shape: check that GATEWAY_API_URL is the gateway "
        "and that its version fits this exporter.",
        Outcome.EMPTY: "The gateway suddenly reports no providers at all, as it does when its database is "
        "down: look at the database. If its providers were removed on purpose, restart the exporter.",
        Outcome.INTERNAL: "The exporter itself failed: look at the limits of threads and memory where "
        "the system refuses a thread. All else is a bug: please report it with this log record.",
    }
)


class ExporterError(Exception):
    """Base of the exporter's own errors; never raised itself."""


class SettingsError(ExporterError):
    """The environment cannot be used.

    Attributes:
        problems: One sentence for each problem, each free of secret values.
    """

    def __init__(self, problems: Sequence[str]) -> None:
        """Keep every problem, in the order in which a person reads the settings."""
        super().__init__("; ".join(problems))
        self.problems = tuple(problems)


class ListenError(ExporterError):
    """The address for `/metrics` cannot be bound; the text names host, port and reason."""


class ThreadError(ExporterError):
    """The system refuses another thread: the limit of processes or of memory is reached."""


class GatewayError(ExporterError):
    """One fetch failed.

    Attributes:
        outcome: Its member of the closed set, never `ok`.
        detail: What was seen, in a few words that hold no secret and no body text.
        status: HTTP status of the last attempt, if there was an answer.
        retry_after: Seconds that the gateway asked to wait, if it did.
        is_transient: Whether another attempt can succeed where outcome and status do not say so.
        attempts: GET requests made, redirects and retries included.
        request_id: The gateway's `x-request-id` of the last attempt, if any.
        names: Variables that the hint names, each with what is in use instead.
    """

    def __init__(
        self, outcome: Outcome, detail: str, *, retry_after: float | None = None, is_transient: bool = False
    ) -> None:
        """Describe the failure; the client adds attempts, status and request id."""
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
        """Say what was seen and what to do about it, for log and person."""
        text = HINTS[self.outcome]
        for variable, in_use in self.names:
            text = text.replace(variable, in_use)
        return f"{text} ({self.detail})"
