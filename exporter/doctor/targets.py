"""URLs and credentials of the servers that `doctor` checks, from flags and the environment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from exporter.config.access import read_access, variables
from exporter.config.prometheus import DEFAULT_JOB
from exporter.config.urls import url_problem
from exporter.files.problems import Problems
from exporter.files.secret import Secret, secret_or_file
from exporter.transport.auth import Credentials

EXPORTER = "exporter"
PROMETHEUS = "prometheus"
ALERTMANAGER = "alertmanager"
COLLECTOR = "collector"
LOKI = "loki"
TEMPO = "tempo"
GRAFANA = "grafana"

DEFAULT_GRAFANA_USER = "admin"
JOB = "PROMETHEUS_JOB"
LOGIN_REFUSED = (
    "Grafana does not accept this user and password. GRAFANA_ADMIN_PASSWORD is used at Grafana's first start "
    "only: the password of that start, such as the one of the demo, is valid until it is changed."
)
RESET_COMMAND = "docker compose exec grafana grafana cli admin reset-admin-password --password-from-stdin"


@dataclass(frozen=True, slots=True)
class Server:
    """A server, and the settings of its URL and credentials."""

    name: str
    title: str
    """Its name in a sentence."""
    variable: str
    default: str
    meaning: str
    own_credentials: str = ""
    """Variables of its credentials, if they are not those of `exporter.config.access`."""
    has_access: bool = False
    """Whether tenant and credentials are those of `exporter.config.access`."""

    @property
    def flag(self) -> str:
        """The flag that overrides the variable."""
        return f"--{self.name}-url"

    @property
    def prefix(self) -> str:
        """The first word of its variables."""
        return self.variable.removesuffix("_URL")

    @property
    def credentials(self) -> str:
        """Variables of its credentials; empty for a server to which none are sent."""
        if not self.has_access:
            return self.own_credentials
        return f"{self.prefix}_USER with {self.prefix}_PASSWORD (or its file), and {self.prefix}_TENANT"


SERVERS: tuple[Server, ...] = (
    Server(
        EXPORTER,
        "the exporter",
        "EXPORTER_URL",
        "http://localhost:<METRICS_PORT>",
        "Root of the exporter; https:// by default if WEB_CONFIG_FILE has TLS",
        "EXPORTER_USER with EXPORTER_PASSWORD or EXPORTER_PASSWORD_FILE",
    ),
    Server(
        PROMETHEUS,
        "Prometheus",
        "PROMETHEUS_URL",
        "",
        "Root of Prometheus, for example http://localhost:9090",
        has_access=True,
    ),
    Server(
        ALERTMANAGER,
        "Alertmanager",
        "ALERTMANAGER_URL",
        "",
        "Root of Alertmanager, for example http://localhost:9093",
        has_access=True,
    ),
    Server(
        COLLECTOR,
        "the collector",
        "COLLECTOR_URL",
        "",
        "Health check of the OpenTelemetry Collector, for example http://localhost:13133",
    ),
    Server(LOKI, "Loki", "LOKI_URL", "", "Root of Loki, for example http://localhost:3100", has_access=True),
    Server(
        TEMPO, "Tempo", "TEMPO_URL", "", "Root of Tempo, for example http://localhost:3200", has_access=True
    ),
    Server(
        GRAFANA,
        "Grafana",
        "GRAFANA_URL",
        "",
        "Root of Grafana, its sub path included, for example http://localhost:3000",
        "GRAFANA_TOKEN or GRAFANA_TOKEN_FILE",
    ),
)

WITH_ACCESS = tuple(server for server in SERVERS if server.has_access)
CREDENTIAL_VARIABLES: tuple[tuple[str, str], ...] = (
    *variables("SERVER", "at that server"),
    ("EXPORTER_USER", "User at the exporter, if it requires authentication"),
    ("EXPORTER_PASSWORD", "Password of that user"),
    ("EXPORTER_PASSWORD_FILE", "File that holds the password, instead of EXPORTER_PASSWORD"),
    ("GRAFANA_TOKEN", "Token of a service account that may read data sources; overrides a password"),
    ("GRAFANA_TOKEN_FILE", "File that holds the token, instead of GRAFANA_TOKEN"),
    ("GRAFANA_ADMIN_USER", "User at Grafana, if there is no token (default admin)"),
    ("GRAFANA_ADMIN_PASSWORD", "Password of that user"),
    ("GRAFANA_ADMIN_PASSWORD_FILE", "File that holds the password, instead of GRAFANA_ADMIN_PASSWORD"),
)
"""Variables of credentials and their meaning; flags would be visible in the list of processes.

SERVER is each prefix of `WITH_ACCESS`.
"""


@dataclass(frozen=True, slots=True)
class Targets:
    """URLs and credentials of the servers."""

    urls: Mapping[str, str] = field(default_factory=dict)
    """By server, without a trailing slash; a server without a URL is not in it."""
    credentials: Mapping[str, Credentials] = field(default_factory=dict)
    """By server; a server without credentials is not in it."""
    job: str = DEFAULT_JOB
    """The label `job` of the exporter in Prometheus."""
    headers: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """Further headers by server: its tenant."""


def load_targets(environ: Mapping[str, str], flags: Mapping[str, str | None]) -> Targets:
    """Read flags, which override variables, and variables; an empty value counts as unset.

    Args:
        environ: The variables.
        flags: URLs by name of the server, and the job by name of its variable.

    Raises:
        SettingsError: With all problems, without secrets.
    """
    return _Reader(environ, flags).read()


class _Reader:
    """Reads flags and environment, and collects problems."""

    def __init__(self, environ: Mapping[str, str], flags: Mapping[str, str | None]) -> None:
        self._environ = {name: value.strip() for name, value in environ.items() if value.strip()}
        self._flags = {name: value.strip() for name, value in flags.items() if value and value.strip()}
        self._problems = Problems()

    def read(self) -> Targets:
        urls = {server.name: self._url(server) for server in SERVERS}
        access = {
            server.name: read_access(self._environ, server.prefix, self._problems) for server in WITH_ACCESS
        }
        credentials = {name: one.credentials for name, one in access.items()}
        credentials |= {EXPORTER: self._exporter(), GRAFANA: self._grafana()}
        job = self._flags.get(JOB) or self._environ.get(JOB, DEFAULT_JOB)
        self._problems.raise_any()
        return Targets(
            {name: url for name, url in urls.items() if url},
            {name: credentials for name, credentials in credentials.items() if credentials},
            job,
            {name: one.headers for name, one in access.items() if one.headers},
        )

    def _url(self, server: Server) -> str:
        source = server.flag if server.name in self._flags else server.variable
        text = self._flags.get(server.name) or self._environ.get(server.variable, "")
        hint = f"they go into {server.credentials}" if server.credentials else "none is sent there"
        problem = url_problem(text, hint) if text else None
        if problem:
            self._problems.append(f"{source} {problem}")
        return text.rstrip("/")

    def _exporter(self) -> Credentials | None:
        user = self._environ.get("EXPORTER_USER", "")
        password = self._secret("EXPORTER_PASSWORD")
        if bool(user) != bool(password):
            self._problems.append(
                "EXPORTER_USER and EXPORTER_PASSWORD (or its file) belong together: set both or none."
            )
        self._check_user("EXPORTER_USER", user)
        return Credentials(user, Secret(password)) if user and password else None

    def _grafana(self) -> Credentials | None:
        user = self._environ.get("GRAFANA_ADMIN_USER", DEFAULT_GRAFANA_USER)
        token, password = self._secret("GRAFANA_TOKEN"), self._secret("GRAFANA_ADMIN_PASSWORD")
        if not (token.isascii() and " " not in token):
            self._problems.append("GRAFANA_TOKEN, or its file, must be printable ASCII without whitespace.")
        self._check_user("GRAFANA_ADMIN_USER", user)
        if token:
            return Credentials(None, Secret(token))
        return Credentials(user, Secret(password)) if password else None

    def _check_user(self, name: str, user: str) -> None:
        if ":" in user or not user.isprintable():
            self._problems.append(
                f"{name} has a colon or control characters, which basic authentication does not allow."
            )

    def _secret(self, name: str) -> str:
        """Return the value of the variable or the content of its file, empty without both."""
        text = ""
        with self._problems.collect():
            text = secret_or_file(self._environ, name)
        if not text.isprintable():
            self._problems.append(f"{name}, or its file, has control characters.")
        return text
