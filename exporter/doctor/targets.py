"""Where `doctor` finds the servers, and as whom it asks them: flags first, then the environment.

All problems at once, and no secret in any of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from exporter.config.urls import url_problem
from exporter.files.problems import Problems
from exporter.files.secret import Secret, secret_or_file

EXPORTER = "exporter"
PROMETHEUS = "prometheus"
ALERTMANAGER = "alertmanager"
COLLECTOR = "collector"
LOKI = "loki"
TEMPO = "tempo"
GRAFANA = "grafana"

DEFAULT_JOB = "provider_metrics"
DEFAULT_GRAFANA_USER = "admin"
JOB = "PROMETHEUS_JOB"


@dataclass(frozen=True, slots=True)
class Stage:
    """A server that is asked, and what says where it is."""

    name: str
    title: str
    """As it is called in a sentence."""
    variable: str
    default: str
    meaning: str
    credentials: str = ""
    """What says as whom it is asked; empty where nothing does."""

    @property
    def flag(self) -> str:
        """The flag that goes before the variable."""
        return f"--{self.name}-url"


STAGES: tuple[Stage, ...] = (
    Stage(
        EXPORTER,
        "the exporter",
        "EXPORTER_URL",
        "http://localhost:<METRICS_PORT>",
        "Root of the exporter; https:// by default where WEB_CONFIG_FILE has TLS",
        "EXPORTER_USER with EXPORTER_PASSWORD or EXPORTER_PASSWORD_FILE",
    ),
    Stage(
        PROMETHEUS,
        "Prometheus",
        "PROMETHEUS_URL",
        "",
        "Root of Prometheus, for example http://localhost:9090",
    ),
    Stage(
        ALERTMANAGER,
        "Alertmanager",
        "ALERTMANAGER_URL",
        "",
        "Root of Alertmanager, for example http://localhost:9093",
    ),
    Stage(
        COLLECTOR,
        "the collector",
        "COLLECTOR_URL",
        "",
        "Health check of the OpenTelemetry Collector, for example http://localhost:13133",
    ),
    Stage(LOKI, "Loki", "LOKI_URL", "", "Root of Loki, for example http://localhost:3100"),
    Stage(TEMPO, "Tempo", "TEMPO_URL", "", "Root of Tempo, for example http://localhost:3200"),
    Stage(
        GRAFANA,
        "Grafana",
        "GRAFANA_URL",
        "",
        "Root of Grafana, its sub path included, for example http://localhost:3000",
        "GRAFANA_TOKEN or GRAFANA_TOKEN_FILE",
    ),
)

CREDENTIALS: tuple[tuple[str, str], ...] = (
    ("EXPORTER_USER", "User at the exporter, where it asks for one"),
    ("EXPORTER_PASSWORD", "Password of that user"),
    ("EXPORTER_PASSWORD_FILE", "File that holds the password, instead of EXPORTER_PASSWORD"),
    ("GRAFANA_TOKEN", "Token of a service account that may read data sources; goes before a password"),
    ("GRAFANA_TOKEN_FILE", "File that holds the token, instead of GRAFANA_TOKEN"),
    ("GRAFANA_ADMIN_USER", "User at Grafana, where there is no token (default admin)"),
    ("GRAFANA_ADMIN_PASSWORD", "Password of that user"),
    ("GRAFANA_ADMIN_PASSWORD_FILE", "File that holds the password, instead of GRAFANA_ADMIN_PASSWORD"),
)
"""Every variable that says as whom a server is asked, and its meaning; there are no flags for them."""


@dataclass(frozen=True, slots=True)
class Identity:
    """As whom a server is asked."""

    user: str | None
    """None: the secret is a token, else it is this user's password."""
    secret: Secret


@dataclass(frozen=True, slots=True)
class Addresses:
    """What is known of the servers."""

    urls: Mapping[str, str] = field(default_factory=dict)
    """By stage, without a trailing slash; a stage that has none is left out."""
    identities: Mapping[str, Identity] = field(default_factory=dict)
    """By stage; a stage that is asked as nobody is left out."""
    job: str = DEFAULT_JOB
    """The label `job` of the exporter in Prometheus."""


def load_addresses(environ: Mapping[str, str], flags: Mapping[str, str | None]) -> Addresses:
    """Read flags, which go first, and variables; an empty value counts as unset.

    Args:
        environ: The variables.
        flags: The URL by name of its stage, and the job by the name of its variable.

    Raises:
        SettingsError: With every problem that was found.
    """
    return _Reader(environ, flags).addresses()


class _Reader:
    """One pass over flags and environment; it collects problems and goes on."""

    def __init__(self, environ: Mapping[str, str], flags: Mapping[str, str | None]) -> None:
        self._environ = {name: value.strip() for name, value in environ.items() if value.strip()}
        self._flags = {name: value.strip() for name, value in flags.items() if value and value.strip()}
        self._problems = Problems()

    def addresses(self) -> Addresses:
        urls = {stage.name: self._url(stage) for stage in STAGES}
        identities = {EXPORTER: self._exporter(), GRAFANA: self._grafana()}
        job = self._flags.get(JOB) or self._environ.get(JOB, DEFAULT_JOB)
        self._problems.raise_any()
        return Addresses(
            {name: url for name, url in urls.items() if url},
            {name: identity for name, identity in identities.items() if identity},
            job,
        )

    def _url(self, stage: Stage) -> str:
        source = stage.flag if stage.name in self._flags else stage.variable
        text = self._flags.get(stage.name) or self._environ.get(stage.variable, "")
        instead = f"they go into {stage.credentials}" if stage.credentials else "none is sent there"
        problem = url_problem(text, instead) if text else None
        if problem:
            self._problems.append(f"{source} {problem}")
        return text.rstrip("/")

    def _exporter(self) -> Identity | None:
        user = self._environ.get("EXPORTER_USER", "")
        password = self._secret("EXPORTER_PASSWORD")
        if bool(user) != bool(password):
            self._problems.append(
                "EXPORTER_USER and EXPORTER_PASSWORD, or its file, go together: set both or none."
            )
        self._check_user("EXPORTER_USER", user)
        return Identity(user, Secret(password)) if user and password else None

    def _grafana(self) -> Identity | None:
        user = self._environ.get("GRAFANA_ADMIN_USER", DEFAULT_GRAFANA_USER)
        token, password = self._secret("GRAFANA_TOKEN"), self._secret("GRAFANA_ADMIN_PASSWORD")
        if not (token.isascii() and " " not in token):
            self._problems.append("GRAFANA_TOKEN, or its file, must be printable ASCII without whitespace.")
        self._check_user("GRAFANA_ADMIN_USER", user)
        if token:
            return Identity(None, Secret(token))
        return Identity(user, Secret(password)) if password else None

    def _check_user(self, name: str, user: str) -> None:
        if ":" in user or not user.isprintable():
            self._problems.append(f"{name} has a colon or control characters, which no sign-in allows.")

    def _secret(self, name: str) -> str:
        """Return the value of the variable or the text of its file, empty if neither is valid."""
        text = ""
        with self._problems.collect():
            text = secret_or_file(self._environ, name)
        if not text.isprintable():
            self._problems.append(f"{name}, or its file, has control characters.")
        return text
