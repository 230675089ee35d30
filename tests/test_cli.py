"""The command line says what it can do, and its exit codes are those that are documented."""

from __future__ import annotations

import os
import re
import signal
import socket
import time
from pathlib import Path

import pytest
import requests
from click.testing import CliRunner, Result

from exporter import __version__
from exporter.cli import cli
from exporter.config.flags import FLAGS, Flag
from exporter.config.settings import VARIABLES
from tests.certificates import Folder
from tests.otlp import OtlpReceiver
from tests.process import program, run_program
from tests.replay import ReplayGateway


def invoke(*arguments: str, **variables: str) -> Result:
    """Run the command line in this process, with no variable but the given ones."""
    clean = {variable.name: None for variable in VARIABLES}
    return CliRunner().invoke(cli, arguments, env={**clean, **variables})


def test_version() -> None:
    """The version is that of the package."""
    assert f"cli {__version__}\n" == invoke("--version").output


@pytest.mark.parametrize("arguments", [(), ("run",)], ids=["exporter", "run"])
def test_help_names_the_flags(arguments: tuple[str, ...]) -> None:
    """The help names every flag, before the command and after it."""
    text = invoke(*arguments, "--help").output

    assert [] == [flag.name for flag in FLAGS if f"\n  {flag.name} {flag.metavar}".rstrip() not in text]


@pytest.mark.parametrize("flag", [flag for flag in FLAGS if flag.metavar], ids=lambda flag: flag.name)
@pytest.mark.parametrize("command", [("{}",), ("{}", "run"), ("run", "{}")], ids=["alone", "before", "after"])
def test_flags_before_and_after_run(flag: Flag, command: tuple[str, ...]) -> None:
    """Each flag is read before the command, after it, and without one; a problem names the flag."""
    arguments = [part.format(f"{flag.name}=a b\N{SNOWMAN}") for part in command]

    result = invoke(*arguments, GATEWAY_API_URL="http://localhost", ADMIN_KEY="k")

    (problem,) = result.stderr.splitlines()
    assert 2 == result.exit_code
    assert problem.startswith(f"provider-metrics-exporter: {flag.name}")


def test_last_flag_wins() -> None:
    """Of a flag that is given twice the last one counts, that after the command in particular."""
    result = invoke("--log.level=a", "--log.level=b", "run", "--log.level=c", "--log.level=d")

    assert ["d"] == re.findall('--log.level="(.*)"', result.stderr)


def test_listen_addresses_are_collected() -> None:
    """The flag for the address may be repeated: each address is looked at."""
    result = invoke("run", "--web.listen-address=:8001", "--web.listen-address=:x")

    assert '--web.listen-address=":8001,:x": must be ' in result.stderr


def test_config_check(gateway: ReplayGateway, tmp_path: Path) -> None:
    """Good settings and files are exit code 0, and nothing is connected to or listened on."""
    folder, custom = Folder(tmp_path), tmp_path / "custom.yaml"
    custom.write_text("metrics: []")
    key = tmp_path / "key"
    key.write_text("test-admin-key")
    with OtlpReceiver() as receiver, socket.create_server(("127.0.0.1", 0)) as taken:
        variables = {
            "GATEWAY_API_URL": gateway.url,
            "ADMIN_KEY_FILE": str(key),
            "CUSTOM_METRICS_FILE": str(custom),
            "METRICS_PORT": str(taken.getsockname()[1]),
            "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url,
            "FETCH_TIMEOUT": "100s",
        }
        web = f"--web.config.file={folder.write(tls={})}"
        before = run_program("--config.check", web, **variables)
        after = run_program("run", web, "--config.check", **variables)

    assert [(0, "The configuration is valid.\n")] * 2 == [(r.returncode, r.stdout) for r in (before, after)]
    assert "Note: FETCH_TIMEOUT is cut from 100 to 48 s: 0.8 x SCRAPE_INTERVAL.\n" == before.stderr
    assert ([], []) == (gateway.asked, list(receiver.spans))


def test_config_check_names_every_problem(tmp_path: Path) -> None:
    """Problems of settings, flags and files are exit code 2, all at once."""
    folder, custom = Folder(tmp_path), tmp_path / "custom.yaml"
    custom.write_text("metrics: [1]")
    (tmp_path / "server.key").unlink()
    flags = (f"--web.config.file={folder.write(tls={})}", "--config.check", "--log.format=xml")

    result = run_program(*flags, SCRAPE_INTERVAL="soon", CUSTOM_METRICS_FILE=str(custom))

    assert (2, "") == (result.returncode, result.stdout)
    assert [
        "GATEWAY_API_URL is not set: it must be the gateway's root, for example https://api.example.com",
        "ADMIN_KEY is not set, nor ADMIN_KEY_FILE: one must hold the gateway's admin key.",
        'SCRAPE_INTERVAL="soon": must be a duration such as 60, 60s or 5m',
        '--log.format="xml": must be json or console',
        "--web.config.file: tls_server_config.key_file cannot be read: No such file or directory.",
        "CUSTOM_METRICS_FILE: metric 1 must be a mapping.",
    ] == [line.removeprefix("provider-metrics-exporter: ") for line in result.stderr.splitlines()]


def test_config_check_of_telemetry(gateway: ReplayGateway) -> None:
    """A file for the collector that cannot be read is found as well."""
    more = {"OTEL_EXPORTER_OTLP_ENDPOINT": "https://127.0.0.1:9", "OTEL_EXPORTER_OTLP_CERTIFICATE": "no.pem"}

    result = run_program("--config.check", GATEWAY_API_URL=gateway.url, ADMIN_KEY="k", **more)

    assert (2, "") == (result.returncode, result.stdout)
    assert "OTEL_EXPORTER_OTLP_CERTIFICATE" in result.stderr


def test_config_check_of_another_command() -> None:
    """The check is of the exporter: no other command takes the flag without a word."""
    result = invoke("--config.check", "doctor")

    assert (2, True) == (result.exit_code, "--config.check belongs to the command run." in result.output)


@pytest.mark.parametrize(
    ("variables", "flags"),
    [
        ({"METRICS_HOST": "host:8001"}, ()),
        ({"METRICS_HOST": "[::1"}, ()),
        ({"METRICS_PORT": "::8001"}, ()),
        ({}, ("--web.listen-address=8001",)),
        ({}, ("--web.listen-address=::1:8001",)),
    ],
)
def test_malformed_address_is_a_wrong_setting(variables: dict[str, str], flags: tuple[str, ...]) -> None:
    """A malformed address is exit code 2, never 3."""
    good = {"GATEWAY_API_URL": "http://localhost", "ADMIN_KEY": "k"}

    assert 2 == invoke(*flags, **good, **variables).exit_code


@pytest.mark.parametrize("arguments", [(), ("run",), ("demo",)], ids=["nothing", "run", "demo"])
def test_flag_wins_over_the_variable(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    """The flag holds for every command that listens, and wins over the variable, whose file may be bad."""
    bad, worse = tmp_path / "bad.yml", tmp_path / "worse.yml"
    bad.write_text("rate_limits: {}\nhttp_server_config: text\n")
    worse.write_text("-")
    result = invoke(f"--web.config.file={bad}", *arguments, WEB_CONFIG_FILE=str(worse))

    told = [line for line in result.stderr.splitlines() if "config" in line or "limit" in line]
    assert 2 == result.exit_code
    assert [
        "provider-metrics-exporter: --web.config.file: rate_limits is not known: is rate_limit meant?",
        "provider-metrics-exporter: --web.config.file: http_server_config must be a mapping.",
    ] == told


@pytest.mark.parametrize("command", ["run", "check"])
@pytest.mark.parametrize(
    ("variables", "problem"),
    [
        ({"REQUESTS_CA_BUNDLE": "/nowhere.pem"}, "REQUESTS_CA_BUNDLE cannot be read: No such file"),
        ({"SSL_CERT_FILE": os.devnull}, "SSL_CERT_FILE cannot be read: Not a regular file"),
        ({"ADMIN_KEY": '"key"'}, "ADMIN_KEY is in quotes"),
        ({"GATEWAY_API_URL": "'https://gateway.invalid'"}, "GATEWAY_API_URL is in quotes"),
    ],
    ids=["missing bundle", "device", "key in quotes", "URL in quotes"],
)
def test_settings_that_cannot_work(command: str, variables: dict[str, str], problem: str) -> None:
    """A wrong path of certificates and a value in quotes are exit code 2, with one line that names them."""
    good = {"GATEWAY_API_URL": "https://gateway.invalid", "ADMIN_KEY": "key", "METRICS_PORT": "0"}
    result = run_program(command, **{**good, **variables})

    (line,) = result.stderr.splitlines()
    assert (2, "") == (result.returncode, result.stdout)
    assert line.startswith(f"provider-metrics-exporter: {problem}")


def test_healthcheck_takes_the_flag(tmp_path: Path) -> None:
    """A healthcheck with the exporter's own arguments works; it does not read the file."""
    result = invoke(f"--web.config.file={tmp_path}", "healthcheck", METRICS_PORT="0")

    assert (1, True) == (result.exit_code, result.stderr.startswith("no answer on port 0"))


def test_empty_flag_is_none(tmp_path: Path) -> None:
    """An empty flag leaves the variable in force."""
    result = invoke("--web.config.file=", WEB_CONFIG_FILE=str(tmp_path))

    assert "WEB_CONFIG_FILE: the file cannot be read: Is a directory." in result.stderr


def test_file_and_environment_are_told_together(tmp_path: Path) -> None:
    """What is wrong with the environment and with the file is told at once."""
    result = invoke("run", WEB_CONFIG_FILE=str(tmp_path), METRICS_PORT="x")

    assert (2, 4) == (result.exit_code, len(result.stderr.splitlines()))


def test_custom_metrics_are_told_with_the_rest(tmp_path: Path) -> None:
    """What is wrong with the custom metrics is told with all other problems, by every command that polls."""
    path = tmp_path / "custom.yaml"
    path.write_text("metrics: [{name: gatewayz_up, help: Up., kind: gauge, from: stats, path: 'a['}]")
    for command in ("run", "check", "demo"):
        result = invoke(command, CUSTOM_METRICS_FILE=str(path), METRICS_PORT="x")

        told = [line for line in result.stderr.splitlines() if "CUSTOM_METRICS_FILE" in line]
        assert 2 == result.exit_code
        assert 'METRICS_PORT="x"' in result.stderr
        before = "provider-metrics-exporter: CUSTOM_METRICS_FILE: metric 1 (gatewayz_up): "
        assert [
            f"{before}name is already in use by a metric of the exporter.",
            f"{before}path is not a valid JMESPath expression (character 3).",
        ] == told


def test_check_does_not_read_the_web_config(tmp_path: Path) -> None:
    """A check opens no port, so that who may come in does not matter to it."""
    result = invoke("check", WEB_CONFIG_FILE=str(tmp_path), METRICS_PORT="x")

    assert "WEB_CONFIG_FILE" not in result.stderr


def test_help_names_every_command_and_variable() -> None:
    """The help names all commands, and all variables with their defaults."""
    text = invoke("--help").output

    for name in ("run", "check", "doctor", "healthcheck", "demo"):
        assert f"\n  {name} " in text
    for variable in VARIABLES:
        assert f"\n    {variable.name} " in text
        assert not variable.default or f"default {variable.default}" in text.replace("\n", " ")


def test_unknown_command() -> None:
    """A command that does not exist is exit code 2, as wrong configuration is."""
    assert 2 == invoke("fly").exit_code


@pytest.mark.parametrize("arguments", [(), ("run",), ("check",)], ids=["nothing", "run", "check"])
def test_missing_settings(arguments: tuple[str, ...]) -> None:
    """Without settings every command that needs them lists what is missing, and exits with 2."""
    result = invoke(*arguments)

    assert 2 == result.exit_code
    assert 2 == result.stderr.count("provider-metrics-exporter: ")


def test_wrong_port_for_the_healthcheck() -> None:
    """The healthcheck needs no gateway, but a port that is one."""
    assert 2 == invoke("healthcheck", METRICS_PORT="x").exit_code


@pytest.mark.parametrize("listen", ["8001", "host:", "::1", "host:99999", "host:x"])
def test_wrong_address_for_the_demo(listen: str) -> None:
    """An address that has no host or port is refused in plain words."""
    result = invoke("demo", "--listen", listen)

    assert (2, True) == (result.exit_code, f'"{listen}" must be host:port or :port' in result.output)


@pytest.mark.parametrize(
    ("day", "rule"),
    [("soon", "must be a duration such as 60, 60s or 5m"), ("5s", "must be between 6s and 7d")],
)
def test_wrong_day_for_the_demo(day: str, rule: str) -> None:
    """A day that is no duration, or too short, is refused in plain words."""
    result = invoke("demo", "--day", day)

    assert (2, True) == (result.exit_code, f'"{day}" {rule}' in result.output)


def test_demo_polls_its_own_gateway() -> None:
    """The demo prints its script, publishes what its gateway says, and ends with 0 on Ctrl-C."""
    with program("demo", "--day", "24", METRICS_PORT="0") as running:
        port = running.record("Listening")["port"]
        record = running.record("Updated provider metrics")
        text = requests.get(f"http://127.0.0.1:{port}/metrics", timeout=5).text
        code, seconds = running.end(signal.SIGINT)

    assert record["providers_total"] == record["providers_listed"]
    assert "\ngatewayz_up 1.0\n" in text
    assert "Script of the day" in running.output[0]
    assert (0, True) == (code, seconds < 5)


def test_demo_moves() -> None:
    """A compressed day brings failures and recoveries by itself."""
    with program("demo", "--day", "12s", METRICS_PORT="0") as running:
        changed = running.record("Provider health changed", 30)
        failed = running.record("Fetch failed", 60)
        recovered = running.record("Recovered", 60)

    assert {"provider", "from", "to"} <= set(changed)
    assert failed["endpoint"] == recovered["endpoint"] or recovered["failures"] >= 1


def test_demo_gateway_alone() -> None:
    """The demo's gateway runs by itself, with the key and address that it is told, until SIGTERM."""
    with program("demo", "--gateway-only", "--listen", "127.0.0.1:0", ADMIN_KEY="my-key") as running:
        deadline = time.monotonic() + 20
        while not any(line.startswith("Gateway ") for line in running.output):
            assert time.monotonic() < deadline
            time.sleep(0.02)
        (url,) = [line.split()[1] for line in running.output if line.startswith("Gateway ")]
        response = requests.get(
            f"{url}providers/stats", headers={"Authorization": "Bearer my-key"}, timeout=10
        )
        code, _ = running.end()

    assert 14 == response.json()["total"]
    assert 0 == code


def test_demo_gateway_alone_needs_a_key() -> None:
    """A gateway whose key nobody knows is of no use."""
    result = invoke("demo", "--gateway-only")

    assert (2, True) == (result.exit_code, "ADMIN_KEY is not set" in result.output)


def test_demo_in_an_odd_environment() -> None:
    """Neither a proxy nor empty values nor the alias of the interval disturb the demo."""
    odd = {
        "HTTP_PROXY": "http://127.0.0.1:9",
        "NO_PROXY": "collector.example",
        "METRICS_HOST": "",
        "PROVIDER_SCRAPE_INTERVAL": "1",
    }
    with program("demo", METRICS_PORT="0", ADMIN_KEY="mine", **odd) as running:
        listening = running.record("Listening")
        running.record("Updated provider metrics")

    assert ("127.0.0.1", 1.0) == (listening["host"], listening["scrape_interval"])
    assert f"Metrics      http://localhost:{listening['port']}/metrics\n" in running.output


def test_demo_with_a_taken_port(gateway: ReplayGateway) -> None:
    """An address that is taken is exit code 3."""
    address = gateway.url.removeprefix("http://")

    result = run_program("demo", "--listen", address)

    assert 3 == result.returncode
    assert result.stderr.startswith(f"provider-metrics-exporter: cannot listen on {address}: ")
