"""The command line says what it can do, and its exit codes are those that are documented."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import pytest
import requests
from click.testing import CliRunner, Result

from exporter import __version__
from exporter.cli import cli
from exporter.settings import VARIABLES
from tests.process import program, run_program
from tests.replay import ReplayGateway


def invoke(*arguments: str, **variables: str) -> Result:
    """Run the command line in this process, with no variable but the given ones."""
    clean = {variable.name: None for variable in VARIABLES}
    return CliRunner().invoke(cli, arguments, env={**clean, **variables})


def test_version() -> None:
    """The version is that of the package."""
    assert f"cli {__version__}\n" == invoke("--version").output


def test_help_names_the_flag() -> None:
    """The help names the flag of Prometheus' exporters."""
    assert "--web.config.file FILE" in invoke("--help").output


@pytest.mark.parametrize("arguments", [(), ("run",), ("demo",)], ids=["nothing", "run", "demo"])
def test_flag_wins_over_the_variable(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    """The flag holds for every command that listens, and wins over the variable, whose file may be bad."""
    bad, worse = tmp_path / "bad.yml", tmp_path / "worse.yml"
    bad.write_text("rate_limits: {}\nhttp_server_config: text\n")
    worse.write_text("-")
    result = invoke(f"--web.config.file={bad}", *arguments, WEB_CONFIG_FILE=str(worse))

    told = [line for line in result.stderr.splitlines() if "WEB_CONFIG_FILE" in line]
    assert 2 == result.exit_code
    assert [
        "provider-metrics-exporter: WEB_CONFIG_FILE: rate_limits is not known: is rate_limit meant?",
        "provider-metrics-exporter: WEB_CONFIG_FILE: http_server_config must be a mapping.",
    ] == told


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
            f"{before}name is taken: the exporter has a metric or series of that name.",
            f"{before}path is no JMESPath expression from character 3 on.",
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
