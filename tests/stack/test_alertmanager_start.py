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

pytestmark = pytest.mark.stack

WEBHOOK = "https://hooks.example.com/services/very-secret-path"
PASSWORD = "very-secret-word"
SECRETS = ("very-secret-path", PASSWORD)

SLACK = {"SLACK_API_URL_FILE": "webhook"}
EMAIL = {"SMTP_SMARTHOST": "mail.example.com:587", "SMTP_FROM": "a@example.com", "EMAIL_TO": "b@example.com"}
LOGIN = {"SMTP_AUTH_USERNAME": "user", "SMTP_AUTH_PASSWORD_FILE": "password"}
"""The files are in the folder that the test makes."""

SHELLS = {"sh": ("/bin/sh",), "busybox": ("busybox", "sh")}
"""The second is what the image has."""

CHANNELS: Mapping[str, tuple[Mapping[str, str], tuple[str, ...], tuple[str, ...]]] = {
    "nothing": ({}, (), ()),
    "all empty": (dict.fromkeys({**SLACK, **EMAIL, **LOGIN, "NOTIFY_HEALTH_CHANGES": ""}, ""), (), ()),
    "slack": (SLACK, ("slack_configs",), ()),
    "e-mail": ({**EMAIL, **LOGIN}, ("email_configs",), ()),
    "both": ({**SLACK, **EMAIL}, ("email_configs", "slack_configs"), ()),
    "both, and changes": (
        {**SLACK, **EMAIL, "NOTIFY_HEALTH_CHANGES": "true"},
        ("email_configs", "slack_configs"),
        ("email_configs", "slack_configs"),
    ),
    "explicitly no changes": ({**SLACK, "NOTIFY_HEALTH_CHANGES": "false"}, ("slack_configs",), ()),
}
"""The environment, and the channels of people and of readers."""

every_shell = pytest.mark.parametrize(
    "shell",
    [
        pytest.param(
            shell, id=name, marks=pytest.mark.skipif(not shutil.which(shell[0]), reason=f"there is no {name}")
        )
        for name, shell in SHELLS.items()
    ],
)
every_variant = pytest.mark.parametrize("variant", CHANNELS)


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """A folder with secret files, good ones and others."""
    for name, text in {
        "webhook": f"{WEBHOOK}\n",
        "webhook-crlf": f"{WEBHOOK}\r\n",
        "password": PASSWORD,
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
    programs: Mapping[str, Path], files: Path, variables: Mapping[str, str], shell: tuple[str, ...]
) -> servers.Server:
    """Return the server that start.sh becomes."""
    return servers.alertmanager(programs, files / "run", servers.Ports(), shell, **placed(variables, files))


def refused(
    programs: Mapping[str, Path], files: Path, variables: Mapping[str, str], shell: tuple[str, ...]
) -> list[str]:
    """Run start.sh, which must not start anything, and return what it complains about."""
    wanted = server(programs, files, variables, shell)
    result = subprocess.run(
        wanted.command, env=wanted.environment, capture_output=True, text=True, timeout=20, check=False
    )
    assert (2, "", False) == (result.returncode, result.stdout, (rendered(files)).exists())
    return result.stderr.splitlines()


def rendered(files: Path) -> Path:
    """Return where the configuration is rendered."""
    return files / "run" / "alertmanager" / "alertmanager.yml"


def receivers(files: Path) -> dict[str, Any]:
    """Return the receivers of the rendered configuration by name."""
    parsed = yaml.safe_load(rendered(files).read_text(encoding="utf-8"))
    return {receiver.pop("name"): receiver for receiver in parsed["receivers"]}


@every_shell
@every_variant
def test_channels(programs: Mapping[str, Path], files: Path, shell: tuple[str, ...], variant: str) -> None:
    """It starts, with just the channels that the environment names."""
    variables, people, readers = CHANNELS[variant]
    with server(programs, files, variables, shell) as running:
        names = [receiver["name"] for receiver in running.get("/api/v2/receivers")]

    assert ["page", "people", "readers"] == sorted(names)
    found = {name: tuple(sorted(channels)) for name, channels in receivers(files).items()}
    assert {"page": (), "people": people, "readers": readers} == found


@every_variant
def test_rendered_configuration(programs: Mapping[str, Path], files: Path, variant: str) -> None:
    """Alertmanager's own checker takes it, templates included."""
    with server(programs, files, CHANNELS[variant][0], SHELLS["sh"]):
        pass
    result = subprocess.run(
        [str(programs["amtool"]), "check-config", str(rendered(files))],
        capture_output=True,
        text=True,
        check=False,
    )

    assert (0, 2) == (result.returncode, result.stdout.count("SUCCESS")), result.stdout + result.stderr
    # Those of the project, and the roots of links.
    assert 5 == len(list((rendered(files).parent / "templates").glob("*.tmpl")))


def test_all_is_well_again(programs: Mapping[str, Path], files: Path) -> None:
    """People are told when an alert is over; that a change of health is over is no news."""
    variables = {**SLACK, **EMAIL, "NOTIFY_HEALTH_CHANGES": "true"}
    with server(programs, files, variables, SHELLS["sh"]):
        pass

    found = {
        (name, channel): settings["send_resolved"]
        for name, channels in receivers(files).items()
        for channel, (settings,) in channels.items()
    }
    kinds = ("slack_configs", "email_configs")
    assert {
        **{("people", kind): True for kind in kinds},
        **{("readers", kind): False for kind in kinds},
    } == found


@every_shell
def test_values_arrive_as_they_are(programs: Mapping[str, Path], files: Path, shell: tuple[str, ...]) -> None:
    """Quotes and whatever else YAML, the shell or sed may make something of stay what they are."""
    odd = r"""o'brien's "#1": $HOME `x` \n & / ☃ %s"""
    variables = {**SLACK, **EMAIL, **LOGIN, "SLACK_CHANNEL": odd, "SMTP_AUTH_USERNAME": odd}
    with server(programs, files, variables, shell):
        pass

    people = receivers(files)["people"]
    assert odd == people["slack_configs"][0]["channel"]
    email = people["email_configs"][0]
    assert ["mail.example.com:587", True, odd, str(files / "password"), "a@example.com", "b@example.com"] == [
        email[name]
        for name in ("smarthost", "require_tls", "auth_username", "auth_password_file", "from", "to")
    ]


@pytest.mark.parametrize(
    "variables",
    [
        {"SLACK_API_URL_FILE": "webhook-crlf"},
        {**EMAIL, "SMTP_REQUIRE_TLS": "false"},
        {**EMAIL, "SMTP_SMARTHOST": "[::1]:25"},
        {**EMAIL, "EMAIL_TO": "b@example.com, Some One <c@example.com>"},
        {"GRAFANA_URL": "https://example.com:3000/sub/path/", "RUNBOOK_URL": "http://[::1]/x"},
    ],
    ids=["CRLF", "no TLS", "IPv6", "two recipients", "roots"],
)
def test_accepted(programs: Mapping[str, Path], files: Path, variables: Mapping[str, str]) -> None:
    """What is unusual, but right, is taken."""
    with server(programs, files, variables, SHELLS["sh"]) as running:
        assert "original" in running.get("/api/v2/status")["config"]


PROBLEMS: Mapping[str, tuple[Mapping[str, str], list[str]]] = {
    "file that is not there": (
        {"SLACK_API_URL_FILE": "nowhere"},
        ["SLACK_API_URL_FILE names a file that is not there: create it."],
    ),
    "folder in place of a file": (
        {"SLACK_API_URL_FILE": "folder"},
        [r"SLACK_API_URL_FILE names what cannot be read: it must be a file that user \d+ may read."],
    ),
    "empty file": (
        {"SLACK_API_URL_FILE": "empty"},
        ["SLACK_API_URL_FILE names a file that is empty: write the secret into it."],
    ),
    "file with a line break alone": (
        {"SLACK_API_URL_FILE": "blank"},
        ["SLACK_API_URL_FILE names a file that is empty: write the secret into it."],
    ),
    "file without a URL": (
        {"SLACK_API_URL_FILE": "no-url"},
        ["SLACK_API_URL_FILE names a file that holds no URL: the webhook's begins with https://."],
    ),
    "file with two words": (
        {"SLACK_API_URL_FILE": "two-words"},
        ["SLACK_API_URL_FILE names a file with more than a URL in it: write the webhook's URL alone."],
    ),
    "file with two lines": (
        {"SLACK_API_URL_FILE": "two-lines"},
        ["SLACK_API_URL_FILE names a file with more than a URL in it: write the webhook's URL alone."],
    ),
    "the URL in place of its file": (
        {"SLACK_API_URL_FILE": WEBHOOK},
        ["SLACK_API_URL_FILE names a file that is not there: create it."],
    ),
    "channel alone": (
        {"SLACK_CHANNEL": "#alerts"},
        ["SLACK_CHANNEL is set without SLACK_API_URL_FILE: name the file that holds the webhook's URL, too."],
    ),
    "mail server alone": (
        {"SMTP_SMARTHOST": "mail.example.com:587"},
        [
            "SMTP_FROM is not set: e-mail needs a sender's address.",
            "EMAIL_TO is not set: e-mail needs a recipient; with commas between several.",
        ],
    ),
    "recipient alone": (
        {"EMAIL_TO": "b@example.com"},
        [
            "SMTP_SMARTHOST is not set: e-mail needs a mail server, as host:port.",
            "SMTP_FROM is not set: e-mail needs a sender's address.",
        ],
    ),
    "user without a password": (
        {**EMAIL, "SMTP_AUTH_USERNAME": "user"},
        [
            "SMTP_AUTH_USERNAME is set without SMTP_AUTH_PASSWORD_FILE: "
            "name the file that holds the password, too."
        ],
    ),
    "password without a user": (
        {**EMAIL, "SMTP_AUTH_PASSWORD_FILE": "password"},
        ["SMTP_AUTH_PASSWORD_FILE is set without SMTP_AUTH_USERNAME: name the user of that password, too."],
    ),
    "empty password file": (
        {**EMAIL, **LOGIN, "SMTP_AUTH_PASSWORD_FILE": "empty"},
        ["SMTP_AUTH_PASSWORD_FILE names a file that is empty: write the secret into it."],
    ),
    **{
        f"mail server {value}": (
            {**EMAIL, "SMTP_SMARTHOST": value},
            ["SMTP_SMARTHOST is not host:port: write for example mail.example.com:587."],
        )
        for value in ("mail.example.com", "mail.example.com:", ":587", "587", "a:smtp", "a b:587", "::1:25")
    },
    "sender without @": (
        {**EMAIL, "SMTP_FROM": "nobody"},
        ["SMTP_FROM holds something that is no e-mail address: write name@example.com."],
    ),
    "one recipient of two without @": (
        {**EMAIL, "EMAIL_TO": "b@example.com,c"},
        ["EMAIL_TO holds something that is no e-mail address: write name@example.com."],
    ),
    "two senders": (
        {**EMAIL, "SMTP_FROM": "a@example.com,b@example.com"},
        ["SMTP_FROM has more than one address: keep one of them."],
    ),
    "other words than true and false": (
        {**EMAIL, "SMTP_REQUIRE_TLS": "yes", "NOTIFY_HEALTH_CHANGES": "1"},
        [
            "SMTP_REQUIRE_TLS is neither true nor false: set one of them, or leave it empty.",
            "NOTIFY_HEALTH_CHANGES is neither true nor false: set one of them, or leave it empty.",
        ],
    ),
    "changes without a channel": (
        {"NOTIFY_HEALTH_CHANGES": "true"},
        ["NOTIFY_HEALTH_CHANGES is true, but there is no channel: set SLACK_API_URL_FILE or SMTP_SMARTHOST."],
    ),
    "roots that are none": (
        {"GRAFANA_URL": "grafana:3000", "RUNBOOK_URL": "https://example.com/{{ x }}"},
        [
            "GRAFANA_URL is not a URL: it must begin with http:// or https://.",
            "RUNBOOK_URL has characters that do not belong there: no blanks, quotes, \\?, # or @.",
        ],
    ),
    "line break in a value": (
        {**SLACK, "SLACK_CHANNEL": "a\n  - name: x"},
        ["SLACK_CHANNEL has a line break or another control character: write it in one line."],
    ),
    "all at once": (
        {"SLACK_API_URL_FILE": "nowhere", "SMTP_FROM": "a@example.com", "GRAFANA_URL": "x"},
        [
            "GRAFANA_URL is not a URL: it must begin with http:// or https://.",
            "SLACK_API_URL_FILE names a file that is not there: create it.",
            "SMTP_SMARTHOST is not set: e-mail needs a mail server, as host:port.",
            "EMAIL_TO is not set: e-mail needs a recipient; with commas between several.",
        ],
    ),
}
"""The environment, and what is said of it."""


@every_shell
@pytest.mark.parametrize("problem", PROBLEMS)
def test_refused(programs: Mapping[str, Path], files: Path, shell: tuple[str, ...], problem: str) -> None:
    """Half a channel, or a broken one, starts nothing; all that is wrong is told, without a secret."""
    variables, expected = PROBLEMS[problem]

    lines = refused(programs, files, variables, shell)

    assert len(expected) == len(lines), lines
    for pattern, line in zip(expected, lines, strict=True):
        assert re.fullmatch(rf"alertmanager/start\.sh: {pattern}", line)
    assert [] == [secret for secret in SECRETS if secret in "".join(lines)]


def test_folder_that_cannot_be_written(programs: Mapping[str, Path], files: Path) -> None:
    """Without a place for the configuration it says so."""
    (files / "run").mkdir()
    (files / "run" / "alertmanager").touch()

    wanted = server(programs, files, {}, SHELLS["sh"])
    result = subprocess.run(
        wanted.command, env=wanted.environment, capture_output=True, text=True, timeout=20, check=False
    )

    assert (
        2,
        "alertmanager/start.sh: TMPDIR, or /tmp, is not writable: the configuration is rendered there.\n",
    ) == (result.returncode, result.stderr)


@every_shell
def test_no_secret_shows(programs: Mapping[str, Path], files: Path, shell: tuple[str, ...]) -> None:
    """Secrets are in no command line, environment, log, answer or rendered file."""
    with server(programs, files, {**SLACK, **EMAIL, **LOGIN}, shell) as running:
        assert running.process is not None
        process = Path("/proc") / str(running.process.pid)
        seen = process.joinpath("cmdline").read_text() + process.joinpath("environ").read_text()
        seen += str(running.get("/api/v2/status")) + running.log
    written = [file for file in (files / "run").rglob("*") if file.is_file()]

    assert rendered(files) in written
    seen += "".join(file.read_text(encoding="utf-8", errors="replace") for file in written)
    assert [] == [secret for secret in SECRETS if secret in seen]


@every_shell
def test_becomes_alertmanager(programs: Mapping[str, Path], files: Path, shell: tuple[str, ...]) -> None:
    """The shell is gone: signals reach Alertmanager itself, and it ends at once."""
    with server(programs, files, {}, shell) as running:
        process = running.process
        assert process is not None
        assert programs["alertmanager"].resolve() == Path(f"/proc/{process.pid}/exe").resolve()
        begun = time.monotonic()
        process.terminate()
        code = process.wait(10)

    assert (0, True) == (code, time.monotonic() - begun < 5)


def test_started_again(programs: Mapping[str, Path], files: Path) -> None:
    """A channel that is taken away is gone after the next start in the same folder."""
    with server(programs, files, SLACK, SHELLS["sh"]):
        pass
    assert "slack_configs" in receivers(files)["people"]
    with server(programs, files, {}, SHELLS["sh"]):
        pass

    assert {} == receivers(files)["people"]
