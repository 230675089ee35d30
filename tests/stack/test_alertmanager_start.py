"""alertmanager/start.sh: the real Alertmanager with every set of channels, and none with half of one."""

from __future__ import annotations

import re
import shutil
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.stack import servers
from tests.stack.servers import Programs
from tests.stack.substitution import ROOT

WEBHOOK = "https://hooks.example.com/services/very-secret-path"
PASSWORD = "very-secret-word"
ROUTING_KEY = "very0secret0key0of0pagerduty0000"
SECRETS = ("very-secret-path", PASSWORD, ROUTING_KEY)

SLACK = {"SLACK_API_URL_FILE": "webhook"}
EMAIL = {"SMTP_SMARTHOST": "mail.example.com:587", "SMTP_FROM": "a@example.com", "EMAIL_TO": "b@example.com"}
LOGIN = {"SMTP_AUTH_USERNAME": "user", "SMTP_AUTH_PASSWORD_FILE": "password"}
TEAMS = {"MSTEAMS_WEBHOOK_URL_FILE": "webhook"}
WEBHOOKS = {"WEBHOOK_URL_FILE": "webhook"}
PAGERDUTY = {"PAGERDUTY_ROUTING_KEY_FILE": "routing-key"}
WATCHDOG = {"WATCHDOG_URL_FILE": "webhook"}
ALL = {**SLACK, **EMAIL, **LOGIN, **TEAMS, **WEBHOOKS, **PAGERDUTY, **WATCHDOG}
"""The files are in the folder that the test creates."""

URL_FILES = [name for name in ALL if name.endswith("_URL_FILE")]
CHANGES = {"NOTIFY_HEALTH_CHANGES": "true"}

SHELLS = {"sh": ("/bin/sh",), "busybox": ("busybox", "sh")}
"""The second is what the image has."""

FOR_PEOPLE = ("email_configs", "msteamsv2_configs", "slack_configs", "webhook_configs")
PAGER, SWITCH = {"pager": ("pagerduty_configs",)}, {"watchdog": ("webhook_configs",)}
TO_ALL = {"people": FOR_PEOPLE, **PAGER, **SWITCH}
NONE: Mapping[str, tuple[str, ...]] = dict.fromkeys(("nobody", "pager", "people", "readers", "watchdog"), ())
EMPTY = dict.fromkeys({**ALL, **CHANGES, "SLACK_CHANNEL": "", "SMTP_REQUIRE_TLS": ""}, "")
CHANNELS: Mapping[str, tuple[Mapping[str, str], Mapping[str, tuple[str, ...]]]] = {
    "nothing": ({}, {}),
    "all empty": (EMPTY, {}),
    "slack": (SLACK, {"people": ("slack_configs",)}),
    "e-mail": ({**EMAIL, **LOGIN}, {"people": ("email_configs",)}),
    "teams": (TEAMS, {"people": ("msteamsv2_configs",)}),
    "webhook": (WEBHOOKS, {"people": ("webhook_configs",)}),
    "pagerduty": (PAGERDUTY, PAGER),
    "watchdog": (WATCHDOG, SWITCH),
    "all": (ALL, TO_ALL),
    "all, and changes": ({**ALL, **CHANGES}, {**TO_ALL, "readers": FOR_PEOPLE}),
    "explicitly no changes": ({**SLACK, "NOTIFY_HEALTH_CHANGES": "false"}, {"people": ("slack_configs",)}),
}
"""The environment, and the channels of each receiver that has any."""

every_shell = pytest.mark.parametrize(
    "shell",
    [
        pytest.param(
            shell, id=name, marks=pytest.mark.skipif(not shutil.which(shell[0]), reason=f"there is no {name}")
        )
        for name, shell in SHELLS.items()
    ],
)


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """A folder with secret files, good ones and others."""
    for name, text in {
        "webhook": f"{WEBHOOK}\n",
        "webhook-crlf": f"{WEBHOOK}\r\n",
        "password": PASSWORD,
        "routing-key": f"{ROUTING_KEY}\n",
        "empty": "",
        "blank": "\n",
        "no-url": "very-secret-path",
        "two-words": f"{WEBHOOK} {WEBHOOK}",
        "two-lines": f"{WEBHOOK}\n{WEBHOOK}\n",
    }.items():
        (tmp_path / name).write_bytes(text.encode())
    (tmp_path / "folder").mkdir()
    return tmp_path


def placed(variables: Mapping[str, str], files: Path) -> dict[str, str]:
    """Return variables whose files have their whole path."""
    return {
        name: str(files / value) if name.endswith("_FILE") and value else value
        for name, value in variables.items()
    }


def server(
    programs: Programs, files: Path, variables: Mapping[str, str], shell: tuple[str, ...] = SHELLS["sh"]
) -> servers.Server:
    """Return the server that start.sh becomes."""
    return servers.alertmanager(programs, files / "run", servers.Ports(), shell, **placed(variables, files))


def refused(wanted: servers.Server) -> list[str]:
    """Run start.sh, which must not start anything, and return its messages without their prefix."""
    result = subprocess.run(
        wanted.command, env=wanted.environment, capture_output=True, text=True, timeout=20, check=False
    )
    assert (2, "", False) == (result.returncode, result.stdout, rendered(wanted.folder.parent).exists())
    lines = result.stderr.splitlines()
    assert [] == [line for line in lines if not line.startswith("alertmanager/start.sh: ")]
    return [line.removeprefix("alertmanager/start.sh: ") for line in lines]


def rendered(files: Path) -> Path:
    """Return where the configuration is rendered."""
    return files / "run" / "alertmanager" / "alertmanager.yml"


def receivers(files: Path) -> dict[str, Any]:
    """Return the receivers of the rendered configuration by name."""
    parsed = yaml.safe_load(rendered(files).read_text(encoding="utf-8"))
    return {receiver.pop("name"): receiver for receiver in parsed["receivers"]}


@every_shell
@pytest.mark.parametrize("variant", CHANNELS)
def test_channels(programs: Programs, files: Path, shell: tuple[str, ...], variant: str) -> None:
    """It starts, with just the channels that the environment names; amtool takes them, templates included.

    Resolved alerts are sent, but the end of a change of health is not, nor the end of the watchdog.
    """
    variables, expected = CHANNELS[variant]
    with server(programs, files, variables, shell) as running:
        names = {receiver["name"] for receiver in running.get("/api/v2/receivers")}
    code, output = servers.run(programs["amtool"], "check-config", rendered(files))

    assert set(NONE) == names
    found = {name: tuple(sorted(channels)) for name, channels in receivers(files).items()}
    assert {**NONE, **expected} == found
    for name, channels in receivers(files).items():
        assert {name in ("people", "pager")} >= {one["send_resolved"] for (one,) in channels.values()}
    assert (0, 2) == (code, output.count("SUCCESS")), output
    # Those of the project, and the roots of links.
    own = (ROOT / "alertmanager" / "templates").glob("*.tmpl")
    assert {"roots.tmpl", *(file.name for file in own)} == {
        file.name for file in (rendered(files).parent / "templates").glob("*.tmpl")
    }


@every_shell
def test_values_arrive_as_they_are(programs: Programs, files: Path, shell: tuple[str, ...]) -> None:
    """Quotes and whatever else YAML, the shell or sed may make something of stay what they are."""
    odd = r"""o'brien's "#1": $HOME `x` \n & / ☃ %s"""
    own = files / "o'brien's # files & more"
    own.mkdir()
    for name in ("webhook", "password", "routing-key"):
        shutil.copy(files / name, own)
    variables = placed({**ALL, "SLACK_CHANNEL": odd, "SMTP_AUTH_USERNAME": odd}, own)
    with server(programs, files, variables, shell):
        pass

    found = receivers(files)
    people = {channel: settings for channel, (settings,) in found["people"].items()}
    assert {str(own / "webhook")} == {
        people["slack_configs"]["api_url_file"],
        people["msteamsv2_configs"]["webhook_url_file"],
        people["webhook_configs"]["url_file"],
        found["watchdog"]["webhook_configs"][0]["url_file"],
    }
    assert str(own / "routing-key") == found["pager"]["pagerduty_configs"][0]["routing_key_file"]
    assert odd == people["slack_configs"]["channel"]
    names = ("smarthost", "require_tls", "auth_username", "auth_password_file", "from", "to")
    assert ["mail.example.com:587", True, odd, str(own / "password"), "a@example.com", "b@example.com"] == [
        people["email_configs"][name] for name in names
    ]


@pytest.mark.parametrize(
    "variables",
    [
        dict.fromkeys(URL_FILES, "webhook-crlf"),
        {**EMAIL, "SMTP_REQUIRE_TLS": "false"},
        {**EMAIL, "SMTP_SMARTHOST": "[::1]:25"},
        {**EMAIL, "EMAIL_TO": "b@example.com, Some One <c@example.com>"},
        {"GRAFANA_URL": "https://example.com:3000/sub/path/", "RUNBOOK_URL": "http://[::1]/x"},
    ],
    ids=["CRLF", "no TLS", "IPv6", "two recipients", "roots"],
)
def test_accepted(programs: Programs, files: Path, variables: Mapping[str, str]) -> None:
    """Unusual but valid values are accepted."""
    with server(programs, files, variables) as running:
        assert "original" in running.get("/api/v2/status")["config"]


FILES = {
    "not there": ("nowhere", "a file that does not exist: create it."),
    "a folder": ("folder", r"a file that cannot be read: user \d+ must be able to read it."),
    "empty": ("empty", "an empty file: write the secret to it."),
    "a line break alone": ("blank", "an empty file: write the secret to it."),
    "the secret in place of its file": (WEBHOOK, "a file that does not exist: create it."),
}
"""Problems of any secret file."""
NO_URLS = {
    "no URL": ("no-url", "a file without a URL: it must begin with https:// or http://."),
    "two words": ("two-words", "a file with more than a URL: write only the URL."),
    "two lines": ("two-lines", "a file with more than a URL: write only the URL."),
}
"""Problems of a file with a URL."""

URL_FILE_PROBLEMS = [(name, what, *problem) for name in URL_FILES for what, problem in NO_URLS.items()]
FILE_PROBLEMS = [(name, what, *row) for name in (*URL_FILES, *PAGERDUTY) for what, row in FILES.items()]

NO_HOST = "SMTP_SMARTHOST is not set: e-mail needs a mail server, as host:port."
NO_SENDER = "SMTP_FROM is not set: e-mail needs a sender's address."
NO_RECIPIENT = "EMAIL_TO is not set: e-mail needs a recipient; separate several by commas."
NO_PORT = "SMTP_SMARTHOST is not host:port: write for example mail.example.com:587."
NO_KEY = "PAGERDUTY_ROUTING_KEY_FILE names a file without an integration key: a key has 32 characters."
NO_PASSWORD = (
    "SMTP_AUTH_USERNAME is set without SMTP_AUTH_PASSWORD_FILE: set the file with the password as well."
)
NO_USER = "SMTP_AUTH_PASSWORD_FILE is set without SMTP_AUTH_USERNAME: set the user of that password as well."
NO_ROOT = "GRAFANA_URL is not a URL: it must begin with http:// or https://."
NO_ADDRESS = "contains an invalid e-mail address: write name@example.com."
NO_FLAG = "is neither true nor false: set one of them, or leave it empty."

PROBLEMS: Mapping[str, tuple[Mapping[str, str], list[str]]] = {
    **{
        f"{variable}: {what}": ({variable: file}, [f"{variable} names {problem}"])
        for variable, what, file, problem in (*FILE_PROBLEMS, *URL_FILE_PROBLEMS)
    },
    **{
        f"routing key: {file}": ({"PAGERDUTY_ROUTING_KEY_FILE": file}, [NO_KEY])
        for file in ("no-url", "webhook")
    },
    "channel alone": (
        {"SLACK_CHANNEL": "#alerts"},
        ["SLACK_CHANNEL is set without SLACK_API_URL_FILE: set the file with the webhook's URL as well."],
    ),
    "mail server alone": ({"SMTP_SMARTHOST": "mail.example.com:587"}, [NO_SENDER, NO_RECIPIENT]),
    "recipient alone": ({"EMAIL_TO": "b@example.com"}, [NO_HOST, NO_SENDER]),
    "user without a password": ({**EMAIL, "SMTP_AUTH_USERNAME": "user"}, [NO_PASSWORD]),
    "password without a user": ({**EMAIL, "SMTP_AUTH_PASSWORD_FILE": "password"}, [NO_USER]),
    "empty password file": (
        {**EMAIL, **LOGIN, "SMTP_AUTH_PASSWORD_FILE": "empty"},
        ["SMTP_AUTH_PASSWORD_FILE names an empty file: write the secret to it."],
    ),
    **{
        f"mail server {value}": ({**EMAIL, "SMTP_SMARTHOST": value}, [NO_PORT])
        for value in ("mail.example.com", "mail.example.com:", ":587", "587", "a:smtp", "a b:587", "::1:25")
    },
    "sender without @": ({**EMAIL, "SMTP_FROM": "nobody"}, [f"SMTP_FROM {NO_ADDRESS}"]),
    "one recipient of two without @": ({**EMAIL, "EMAIL_TO": "b@example.com,c"}, [f"EMAIL_TO {NO_ADDRESS}"]),
    "two senders": (
        {**EMAIL, "SMTP_FROM": "a@example.com,b@example.com"},
        ["SMTP_FROM has more than one address: set only one."],
    ),
    "other words than true and false": (
        {**EMAIL, "SMTP_REQUIRE_TLS": "yes", "NOTIFY_HEALTH_CHANGES": "1"},
        [f"SMTP_REQUIRE_TLS {NO_FLAG}", f"NOTIFY_HEALTH_CHANGES {NO_FLAG}"],
    ),
    "changes without a channel": (
        {**PAGERDUTY, **WATCHDOG, **CHANGES},
        ["NOTIFY_HEALTH_CHANGES is true without a channel for it: set e-mail, Slack, Teams or a webhook."],
    ),
    "roots that are none": (
        {"GRAFANA_URL": "grafana:3000", "RUNBOOK_URL": "https://example.com/{{ x }}"},
        [NO_ROOT, "RUNBOOK_URL has invalid characters: whitespace, quotes, \\?, # and @ are not allowed."],
    ),
    "line break in a value": (
        {**SLACK, "SLACK_CHANNEL": "a\n  - name: x"},
        ["SLACK_CHANNEL has a line break or another control character: write it in one line."],
    ),
    "all at once": (
        {
            **dict.fromkeys((*URL_FILES, *PAGERDUTY), "nowhere"),
            "SMTP_FROM": "a@example.com",
            "GRAFANA_URL": "x",
        },
        [
            NO_ROOT,
            *(f"{name} names a file that does not exist: create it." for name in (*URL_FILES, *PAGERDUTY)),
            *(NO_HOST, NO_RECIPIENT),
        ],
    ),
}
"""The environment, and patterns of the messages."""


@every_shell
@pytest.mark.parametrize("problem", PROBLEMS)
def test_refused(programs: Programs, files: Path, shell: tuple[str, ...], problem: str) -> None:
    """Half a channel, or a broken one, starts nothing; all that is wrong is reported, without a secret."""
    variables, expected = PROBLEMS[problem]

    lines = refused(server(programs, files, variables, shell))

    assert len(expected) == len(lines), lines
    for pattern, line in zip(expected, lines, strict=True):
        assert re.fullmatch(pattern, line)
    assert [] == [secret for secret in SECRETS if secret in "".join(lines)]


def test_folder_that_cannot_be_written(programs: Programs, files: Path) -> None:
    """Without a writable folder for the configuration nothing starts, and the message names the variable."""
    (files / "run").mkdir()
    (files / "run" / "alertmanager").touch()

    problem = "TMPDIR, or /tmp, is not writable: the configuration is rendered there."
    assert [problem] == refused(server(programs, files, {}))


@every_shell
def test_no_secret_shows(programs: Programs, files: Path, shell: tuple[str, ...]) -> None:
    """Secrets are in no command line, environment, log, answer or rendered file."""
    with server(programs, files, ALL, shell) as running:
        assert running.process is not None
        process = Path("/proc") / str(running.process.pid)
        seen = process.joinpath("cmdline").read_text() + process.joinpath("environ").read_text()
        seen += str(running.get("/api/v2/status")) + running.log
    written = [file for file in (files / "run").rglob("*") if file.is_file()]

    assert rendered(files) in written
    seen += "".join(file.read_text(encoding="utf-8", errors="replace") for file in written)
    assert [] == [secret for secret in SECRETS if secret in seen]


@every_shell
def test_becomes_alertmanager(programs: Programs, files: Path, shell: tuple[str, ...]) -> None:
    """The shell is gone: signals reach Alertmanager itself, and it ends at once."""
    with server(programs, files, {}, shell) as running:
        process = running.process
        assert process is not None
        assert programs["alertmanager"].resolve() == Path(f"/proc/{process.pid}/exe").resolve()
        begun = time.monotonic()
        process.terminate()
        code = process.wait(10)

    assert (0, True) == (code, time.monotonic() - begun < 5)


def test_started_again(programs: Programs, files: Path) -> None:
    """A channel that is taken away is gone after the next start in the same folder."""
    for variables, expected in ((ALL, {"people", "pager", "watchdog"}), ({}, set[str]())):
        with server(programs, files, variables):
            pass
        assert expected == {name for name, channels in receivers(files).items() if channels}
