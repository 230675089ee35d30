"""The command line.

Exit codes: 0 stopped or successful, 1 bug (`check`, `doctor`, `healthcheck`: a check failed), 2 invalid
configuration, 3 cannot listen.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NoReturn, TypeVar

import click

from exporter import __version__
from exporter.clock import SystemClock
from exporter.config import flags, values
from exporter.config.environment import prepare
from exporter.config.flags import FLAGS, Flag
from exporter.config.prometheus import DEFAULT_JOB
from exporter.config.settings import SHORTEST_HISTORY, VARIABLES, Settings, load_web_settings
from exporter.configuration import WEB_CONFIG_FILES, Configuration, load_configuration
from exporter.doctor.targets import CREDENTIAL_VARIABLES, JOB, SERVERS, load_targets
from exporter.errors import ListenError, SettingsError
from exporter.files.secret import secret_or_file
from exporter.system.signals import handle_hangup, handle_stop
from exporter.system.terminal import printable

MIN_DAY_SECONDS, MAX_DAY_SECONDS = 6.0, 604_800.0
Command = TypeVar("Command", bound=Callable[..., object])

EXIT_FAILED = 1
EXIT_SETTINGS = 2
EXIT_LISTEN = 3

POLLS_PER_DAY = 60
"""Polls in one day of the demo, so that each of its 24 hours is polled at least twice."""
DEMO_HOST = "127.0.0.1"
CLOSE_SECONDS = 1.0


def _convert_with(read: Callable[[str], Any]) -> Callable[[click.Context, click.Parameter, str], Any]:
    """Return a callback that converts the value of a flag with a function of `exporter.config.values`."""

    def convert(context: click.Context, parameter: click.Parameter, text: str) -> Any:
        try:
            return read(text)
        except ValueError as error:
            raise click.BadParameter(f'"{printable(text)}" {error}') from error

    return convert


def _environment_help(rows: Sequence[tuple[str, str, str]]) -> str:
    """Return the section of a help text with name, meaning and default of variables."""
    width = max(len(name) for name, _, _ in rows)
    lines = (f"  {name:<{width}}  {meaning}{_default(default)}" for name, meaning, default in rows)
    return "\b\nEnvironment:\n" + "\n".join(lines)


def _default(text: str) -> str:
    return f" (default {text})" if text else ""


def _exporter_flags(command: Command) -> Command:
    """Add the flags of `exporter.config.flags` to a command; their values are added to the environment."""
    for flag in reversed(FLAGS):
        command = click.option(
            flag.name,
            f"flag_{FLAGS.index(flag)}",
            metavar=flag.metavar or None,
            multiple=bool(flag.metavar),
            is_flag=not flag.metavar,
            expose_value=False,
            callback=_set_flag,
            help=_flag_help(flag),
        )(command)
    return command


def _set_flag(context: click.Context, parameter: click.Parameter, value: bool | tuple[str, ...]) -> None:
    environ = os.environ if context.obj is None else context.obj
    name = parameter.opts[0]
    if isinstance(value, bool):
        text = "true" if value else ""
    else:
        text = ",".join(value if name == flags.LISTEN_ADDRESS else value[-1:])
    context.obj = {**environ, name: text} if text else environ


def _flag_help(flag: Flag) -> str:
    overrides = f" (overrides {' and '.join(flag.variables)})" if flag.variables else ""
    return f"{flag.meaning}{overrides}{_default(flag.default)}."


@click.group(
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120},
    epilog=_environment_help([(variable.name, variable.meaning, variable.default) for variable in VARIABLES]),
)
@click.version_option(__version__, message="%(prog)s %(version)s")
@_exporter_flags
@click.pass_context
def cli(context: click.Context) -> None:
    """Publish the providers of an AI gateway as Prometheus metrics, traces and logs.

    Without a command it runs the exporter. Settings are environment variables; those of OpenTelemetry
    (OTEL_...) and of requests (REQUESTS_CA_BUNDLE, HTTPS_PROXY) work as well. Flags override variables.

    Signals: SIGHUP reloads the configuration files; SIGTERM and SIGINT stop the exporter.

    Exit codes: 0 stopped, 1 bug, 2 invalid configuration, 3 cannot listen.
    """
    # Settings and their warnings come from the unprepared copy. Libraries read `os.environ`.
    context.obj = dict(context.obj or os.environ)
    prepare(os.environ)
    if context.invoked_subcommand is None:
        context.invoke(run)
    elif flags.CONFIG_CHECK in context.obj and context.invoked_subcommand != run.name:
        raise click.UsageError(f"{flags.CONFIG_CHECK} belongs to the command run.")


@cli.command()
@_exporter_flags
@click.pass_obj
def run(environ: Mapping[str, str]) -> None:
    """Run the exporter (default command)."""
    configuration = _load(environ)
    if flags.CONFIG_CHECK in environ:
        sys.exit(_check_configuration(configuration))
    sys.exit(_run(configuration, _bind(configuration.settings)))


@cli.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of a table.")
@click.option(
    "--raw", is_flag=True, help="Print the fields of the gateway's records, as custom metrics see them."
)
@click.pass_obj
def check(environ: Mapping[str, str], /, as_json: bool, raw: bool) -> None:
    """Poll the gateway once and print the result.

    Exit code 0 if both endpoints succeed and return at least one provider, 1 if not, 2 if a setting is
    invalid.
    """
    _restore_default_signals()
    # The command opens no port, so it does not need the web configuration.
    configuration = _load({**environ, **dict.fromkeys(WEB_CONFIG_FILES, "")})
    from exporter import check as checks

    _print_warnings(configuration)
    custom = configuration.custom.metrics if configuration.custom else ()
    if raw:
        snapshot, fields = checks.raw(configuration.settings)
        click.echo(fields)
    else:
        snapshot = checks.poll(configuration.settings, custom)
    if not raw or not snapshot.up:
        click.echo(checks.as_json(snapshot) if as_json else checks.as_text(snapshot))
    sys.exit(0 if checks.succeeded(snapshot) else EXIT_FAILED)


@cli.command()
@click.pass_obj
def healthcheck(environ: Mapping[str, str]) -> None:
    """Check the health of the exporter on this machine.

    Exit code 0 if it is healthy, 1 if not, 2 if METRICS_HOST or METRICS_PORT is invalid.
    """
    _restore_default_signals()
    try:
        web = load_web_settings(environ)
    except SettingsError as error:
        _fail_settings(error)
    from exporter.web.healthcheck import probe

    healthy, text = probe(web.host, web.port, web.route_prefix)
    click.echo(text, err=not healthy)
    sys.exit(0 if healthy else EXIT_FAILED)


def _url_flags(command: Command) -> Command:
    """Add a flag for the URL of each server to a command."""
    for server in reversed(SERVERS):
        command = click.option(
            server.flag, server.name, metavar="URL", help=f"Instead of {server.variable}."
        )(command)
    return command


@cli.command(
    epilog=_environment_help(
        [
            *((server.variable, server.meaning, server.default) for server in SERVERS),
            (JOB, "Label `job` of the exporter in Prometheus", DEFAULT_JOB),
            *((name, meaning, "") for name, meaning in CREDENTIAL_VARIABLES),
        ]
    )
)
@_url_flags
@click.option("--prometheus-job", JOB, metavar="NAME", help=f"Instead of {JOB}.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of a table.")
@click.pass_obj
def doctor(environ: Mapping[str, str], /, as_json: bool, **flags: str | None) -> None:
    """Check each component from the settings to Grafana.

    Prints what works, and what to do about the rest. Servers without a URL are skipped. Passwords and tokens
    come from the environment or files only; SERVER is PROMETHEUS, ALERTMANAGER, LOKI or TEMPO.

    Exit code 0 if all checks pass, 1 if one fails, 2 if a URL or a credential is invalid.
    """
    _restore_default_signals()
    try:
        targets = load_targets(environ, flags)
    except SettingsError as error:
        _fail_settings(error)
    from exporter.doctor import report
    from exporter.doctor.checks import diagnose

    results = []
    for result in diagnose(environ, targets, SystemClock()):
        results.append(result)
        if not as_json and not result.finding.unset:
            click.echo(report.as_text(result))
    click.echo(report.as_json(results) if as_json else report.end_as_text(results))
    sys.exit(0 if report.all_passed(results) else EXIT_FAILED)


@cli.command()
@click.option(
    "--day",
    "day_seconds",
    callback=_convert_with(values.duration(MIN_DAY_SECONDS, MAX_DAY_SECONDS)),
    metavar="DURATION",
    default="2m",
    show_default=True,
    help="Duration of one day of the script, such as 90s or 10m.",
)
@click.option("--gateway-only", is_flag=True, help="Run only the gateway, with the key of ADMIN_KEY(_FILE).")
@click.option(
    "--listen",
    callback=_convert_with(values.listen_address),
    metavar="HOST:PORT",
    default="127.0.0.1:0",
    show_default=True,
    help="Listen address of the gateway; port 0 selects a free port.",
)
@click.pass_obj
def demo(environ: Mapping[str, str], day_seconds: float, gateway_only: bool, listen: tuple[str, int]) -> None:
    """Run with an embedded gateway that simulates a day.

    Needs neither a gateway nor a key. Prints the script of the day.
    """
    import secrets

    from exporter.demo.gateway import DemoGateway
    from exporter.demo.script import describe

    host, port = listen
    key = _demo_key() if gateway_only else secrets.token_urlsafe(24)
    try:
        gateway = DemoGateway(key, day_seconds, host, port)
    except OSError as error:
        _fail(EXIT_LISTEN, f"cannot listen on {values.address(host, port)}: {error.strerror}")
    click.echo(f"Script of the day ({day_seconds:g} s, repeated):\n\n{describe(day_seconds)}\n")
    click.echo(f"Gateway      {gateway.url}/  (the same script)")
    if gateway_only:
        handle_hangup(signal.SIG_DFL)
        gateway.serve_forever()
        sys.exit(0)
    with gateway:
        configuration = _load(_demo_environment(environ, gateway.url, key, day_seconds))
        listeners, web = _bind(configuration.settings), configuration.settings.web
        scheme = "https" if configuration.web_file and configuration.web_file.config.tls else "http"
        url = f"{scheme}://localhost:{listeners[0].getsockname()[1]}{web.route_prefix}"
        click.echo(
            f"Status page  {url}/\nMetrics      {url}{web.telemetry_path}\n\n"
            "Press Ctrl-C to stop. The log follows.\n"
        )
        code = _run(configuration, listeners)
    sys.exit(code)


def _demo_key() -> str:
    try:
        key = secret_or_file(os.environ, "ADMIN_KEY")
    except SettingsError as error:
        _fail_settings(error)
    if not key:
        problem = "ADMIN_KEY is not set, nor ADMIN_KEY_FILE: one must hold the key that clients send."
        _fail(EXIT_SETTINGS, problem)
    return key


def _demo_environment(
    environ: Mapping[str, str], url: str, key: str, day_seconds: float
) -> Mapping[str, str]:
    """Return the environment of the demo; it keeps the user's settings that do not contradict the demo."""
    variables = {name: value for name, value in environ.items() if value.strip()}
    if "PROVIDER_SCRAPE_INTERVAL" not in variables:
        variables.setdefault("SCRAPE_INTERVAL", f"{day_seconds / POLLS_PER_DAY:g}")
    variables.setdefault("METRICS_HOST", DEMO_HOST)
    variables.setdefault("HISTORY", f"{max(day_seconds, SHORTEST_HISTORY):g}")
    variables.pop("ADMIN_KEY_FILE", None)
    return {**variables, "GATEWAY_API_URL": url, "ADMIN_KEY": key}


def _check_configuration(configuration: Configuration) -> int:
    from exporter.telemetry.sdk import open_telemetry

    _print_warnings(configuration)
    try:
        open_telemetry(configuration.settings.telemetry, lambda: 0).shutdown(CLOSE_SECONDS)
    except SettingsError as error:
        _fail_settings(error)
    click.echo("The configuration is valid.")
    return 0


def _print_warnings(configuration: Configuration) -> None:
    for warning in configuration.settings.warnings:
        click.echo(f"Note: {warning}", err=True)


def _run(configuration: Configuration, listeners: Sequence[socket.socket]) -> int:
    from exporter.app import run as run_service

    try:
        return run_service(configuration.settings, configuration.web_file, configuration.custom, listeners)
    except SettingsError as error:
        _fail_settings(error)


def _bind(settings: Settings) -> Sequence[socket.socket]:
    from exporter.web.listeners import bind_all

    try:
        return bind_all(settings.web)
    except ListenError as error:
        _fail(EXIT_LISTEN, str(error))


def _load(environ: Mapping[str, str]) -> Configuration:
    try:
        return load_configuration(environ)
    except SettingsError as error:
        _fail_settings(error)


def _fail_settings(error: SettingsError) -> NoReturn:
    _fail(EXIT_SETTINGS, *error.problems)


def _fail(code: int, *problems: str) -> NoReturn:
    for problem in problems:
        click.echo(f"provider-metrics-exporter: {problem}", err=True)
    sys.exit(code)


def _restore_default_signals() -> None:
    """Make signals end the command with a failure; only the exporter itself exits with 0 on a signal."""
    handle_stop(signal.SIG_DFL)
    handle_hangup(signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
