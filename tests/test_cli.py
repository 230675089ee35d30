"""Tests of the command line: help texts, flags and exit codes."""

from __future__ import annotations

import re
import signal
import socket
from pathlib import Path

import pytest
import requests

from exporter import __version__
from exporter.config.flags import FLAGS, Flag
from exporter.config.settings import VARIABLES
from tests.certificates import Folder
from tests.otlp import OtlpReceiver
from tests.process import invoke, program, run_program
from tests.replay import ReplayGateway
from tests.waiting import wait_until


def test_version() -> None:
    """The version is that of the package."""
    assert f"provider-metrics-exporter {__version__}\n" == invoke("--version").output


@pytest.mark.parametrize("flag", [flag for flag in FLAGS if flag.metavar], ids=lambda flag: flag.name)
@pytest.mark.parametrize("command", [("{}",), ("{}", "run"), ("run", "{}")], ids=["alone", "before", "after"])
def test_flags_before_and_after_run(flag: Flag, command: tuple[str, ...]) -> None:
    """Each flag is valid before, after and without the command; a problem names the flag."""
    arguments = [part.format(f"{flag.name}=a b\N{SNOWMAN}") for part in command]

    result = invoke(*arguments, GATEWAY_API_URL="http://localhost", ADMIN_KEY="k")

    (problem,) = result.stderr.splitlines()
    assert 2 == result.exit_code
    assert problem.startswith(f"provider-metrics-exporter: {flag.name}")


def test_last_flag_wins() -> None:
    """The last value of a repeated flag is used, even if it follows the command."""
    result = invoke("--log.level=a", "--log.level=b", "run", "--log.level=c", "--log.level=d")

    assert ["d"] == re.findall('--log.level="(.*)"', result.stderr)


def test_config_check(gateway: ReplayGateway, tmp_path: Path) -> None:
    """Exit code 0 for valid settings and files, without any connection or listener."""
    web, custom, key = Folder(tmp_path).write(tls={}), tmp_path / "custom.yaml", tmp_path / "key"
    custom.write_text("metrics: []")
    key.write_text("test-admin-key")
    flag = f"--web.config.file={web}"
    with OtlpReceiver() as receiver, socket.create_server(("127.0.0.1", 0)) as taken:
        otlp = {"OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url, "METRICS_PORT": str(taken.getsockname()[1])}
        files = {"ADMIN_KEY_FILE": str(key), "CUSTOM_METRICS_FILE": str(custom)}
        variables = {"GATEWAY_API_URL": gateway.url, "FETCH_TIMEOUT": "100s", **files, **otlp}
        before = run_program("--config.check", flag, **variables)
        after = invoke("run", flag, "--config.check", **variables)

    valid = (0, "The configuration is valid.\n")
    assert valid == (before.returncode, before.stdout) == (after.exit_code, after.stdout)
    assert "Note: FETCH_TIMEOUT is cut from 100 to 48 s: 0.8 x SCRAPE_INTERVAL.\n" == before.stderr
    assert ([], []) == (gateway.asked, list(receiver.spans))


def test_config_check_with_problems(tmp_path: Path) -> None:
    """Exit code 2 and all problems of settings, flags and files."""
    web, custom = Folder(tmp_path).write(tls={}), tmp_path / "custom.yaml"
    custom.write_text("metrics: [1]")
    (tmp_path / "server.key").unlink()
    flags = (f"--web.config.file={web}", "--config.check", "--log.format=xml")

    result = invoke(*flags, SCRAPE_INTERVAL="soon", CUSTOM_METRICS_FILE=str(custom))

    assert (2, "") == (result.exit_code, result.stdout)
    assert [
        "GATEWAY_API_URL is not set: it must be the gateway's root, for example https://api.example.com",
        "ADMIN_KEY is not set, nor ADMIN_KEY_FILE: one must hold the gateway's admin key.",
        'SCRAPE_INTERVAL="soon": must be a duration such as 60, 60s or 5m',
        '--log.format="xml": must be json or console',
        "--web.config.file: tls_server_config.key_file cannot be read: No such file or directory.",
        "CUSTOM_METRICS_FILE: metric 1 must be a mapping.",
    ] == [line.removeprefix("provider-metrics-exporter: ") for line in result.stderr.splitlines()]


@pytest.mark.parametrize("arguments", [(), ("run",), ("demo",)], ids=["nothing", "run", "demo"])
def test_flag_overrides_the_variable(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    """The flag overrides the variable in all commands that listen, even if the variable is invalid."""
    bad, worse = tmp_path / "bad.yml", tmp_path / "worse.yml"
    bad.write_text("rate_limits: {}\nhttp_server_config: text\n")
    worse.write_text("-")

    result = invoke(f"--web.config.file={bad}", *arguments, WEB_CONFIG_FILE=str(worse))

    before = "provider-metrics-exporter: --web.config.file: "
    assert 2 == result.exit_code
    assert [
        f"{before}rate_limits is not known: is rate_limit meant?",
        f"{before}http_server_config must be a mapping.",
    ] == [line for line in result.stderr.splitlines() if "config" in line or "limit" in line]


def test_flag_of_the_healthcheck(tmp_path: Path) -> None:
    """`healthcheck` accepts the flag, but does not read the file."""
    result = invoke(f"--web.config.file={tmp_path}", "healthcheck", METRICS_PORT="0")

    assert (1, True) == (result.exit_code, result.stderr.startswith("no answer on port 0"))


def test_empty_flag(tmp_path: Path) -> None:
    """An empty flag does not override the variable."""
    result = invoke("--web.config.file=", WEB_CONFIG_FILE=str(tmp_path))

    assert "WEB_CONFIG_FILE: the file cannot be read: Is a directory." in result.stderr


@pytest.mark.parametrize("command", ["run", "check", "demo"])
def test_problems_of_files_and_environment(tmp_path: Path, command: str) -> None:
    """Problems of settings and files are all printed; `check` does not read the web configuration."""
    path = tmp_path / "custom.yaml"
    path.write_text("metrics: [1]")

    result = invoke(command, CUSTOM_METRICS_FILE=str(path), METRICS_PORT="x", WEB_CONFIG_FILE=str(tmp_path))

    assert 2 == result.exit_code
    assert 'METRICS_PORT="x"' in result.stderr
    assert "CUSTOM_METRICS_FILE: metric 1 must be a mapping." in result.stderr
    assert (command != "check") is ("WEB_CONFIG_FILE: the file cannot be read" in result.stderr)


def test_help() -> None:
    """The help lists commands, flags, and variables with their defaults; that of `run` lists the flags."""
    text, of_run = invoke("--help").output, invoke("run", "--help").output

    for flag in FLAGS:
        assert [True, True] == [
            f"\n  {flag.name} {flag.metavar}".rstrip() in help_ for help_ in (text, of_run)
        ]
    for name in ("run", "check", "doctor", "healthcheck", "demo"):
        assert f"\n  {name} " in text
    for variable in VARIABLES:
        assert f"\n    {variable.name} " in text
        assert not variable.default or f"default {variable.default}" in text.replace("\n", " ")


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (("fly",), "No such command"),
        (("healthcheck",), 'METRICS_PORT="x"'),
        (("demo", "--gateway-only"), "ADMIN_KEY is not set, nor ADMIN_KEY_FILE"),
        (("run",), "GATEWAY_API_URL is not set"),
        (("check",), "ADMIN_KEY is not set"),
        (("--config.check", "doctor"), "--config.check belongs to the command run."),
    ],
    ids=lambda value: value[0] if isinstance(value, tuple) else "",
)
def test_invalid_use(arguments: tuple[str, ...], problem: str) -> None:
    """Exit code 2 and the problem for unknown commands, missing or invalid settings and misplaced flags."""
    result = invoke(*arguments, METRICS_PORT="x")

    assert (2, True) == (result.exit_code, problem in result.output)


@pytest.mark.parametrize(
    ("flag", "value", "rule"),
    [
        *(("--listen", text, "must be host:port or :port") for text in ("8001", "host:", "::1", "h:99999")),
        ("--day", "soon", "must be a duration such as 60, 60s or 5m"),
        ("--day", "5s", "must be between 6s and 7d"),
    ],
)
def test_invalid_flags_of_the_demo(flag: str, value: str, rule: str) -> None:
    """Exit code 2 and the rule for invalid addresses and durations."""
    result = invoke("demo", flag, value)

    assert (2, True) == (result.exit_code, f'"{value}" {rule}' in result.output)


def test_demo() -> None:
    """The demo prints its script, publishes failures and recoveries of its gateway, and exits on Ctrl-C."""
    with program("demo", "--day", "6s", METRICS_PORT="0") as running:
        url = running.url()
        record = running.record("Updated provider metrics")
        text = requests.get(f"{url}/metrics", timeout=5).text
        changed = running.record("Provider health changed", 30)
        running.record("Fetch failed", 60)
        running.record("Recovered", 60)
        code, seconds = running.end(signal.SIGINT)

    assert record["providers_total"] == record["providers_listed"]
    assert "\ngatewayz_up 1.0\n" in text
    assert "Script of the day" in running.output[0]
    assert {"provider", "from", "to"} <= set(changed)
    assert (0, True) == (code, seconds < 5)


@pytest.mark.parametrize("variable", ["ADMIN_KEY", "ADMIN_KEY_FILE"])
def test_demo_gateway_only(tmp_path: Path, variable: str) -> None:
    """`--gateway-only` runs the gateway with the given key, or that of a file, until SIGTERM."""
    file = tmp_path / "key"
    file.write_text("my-key\n", encoding="utf-8")
    value = str(file) if variable.endswith("_FILE") else "my-key"
    with program("demo", "--gateway-only", "--listen", "127.0.0.1:0", **{variable: value}) as running:
        (url,) = wait_until(
            lambda: [line.split()[1] for line in running.output if line.startswith("Gateway ")]
        )
        key = {"Authorization": "Bearer my-key"}
        response = requests.get(f"{url}providers/stats", headers=key, timeout=10)
        code, _ = running.end()

    assert (14, 0) == (response.json()["total"], code)


def test_environment_of_the_demo() -> None:
    """Proxies, empty values and the alias of the interval do not break the demo."""
    proxies = {"HTTP_PROXY": "http://127.0.0.1:9", "NO_PROXY": "collector.example"}
    own = {"METRICS_HOST": "", "METRICS_PORT": "0", "ADMIN_KEY": "mine", "PROVIDER_SCRAPE_INTERVAL": "1"}
    with program("demo", **own, **proxies) as running:
        listening = running.record("Listening")
        running.record("Updated provider metrics")

    assert ("127.0.0.1", 1.0) == (listening["host"], listening["scrape_interval"])
    assert f"Metrics      http://localhost:{listening['port']}/metrics\n" in running.output


def test_demo_with_a_taken_port(gateway: ReplayGateway) -> None:
    """Exit code 3 for an address in use."""
    result = run_program("demo", "--listen", gateway.address)

    problem = f"provider-metrics-exporter: cannot listen on {gateway.address}: "
    assert (3, problem) == (result.returncode, result.stderr[: len(problem)])
