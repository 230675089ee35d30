"""The command line.

Exit codes: 0 success or dry run, 1 Grafana failed or a user is unknown, 2 invalid file, environment or
command line.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NoReturn

import click

from exporter.errors import SettingsError
from grafana.access.apply import apply_plan
from grafana.access.client import Grafana
from grafana.access.errors import GrafanaError
from grafana.access.plan import Plan, make_plan, read_state
from grafana.access.rules import Rules, load_rules
from grafana.access.settings import VARIABLES, Settings, load_settings

PROGRAM = "grafana.access"
EXIT_FAILED = 1
EXIT_INPUT = 2
DEFAULT_FILE = Path(__file__).parent.parent / "access.yaml"


def _environment_help() -> str:
    width = max(len(name) for name, _ in VARIABLES)
    return "\b\nEnvironment:\n" + "\n".join(f"  {name:<{width}}  {meaning}" for name, meaning in VARIABLES)


@click.command(
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120},
    epilog=_environment_help(),
)
@click.option("--dry-run", is_flag=True, help="Print the plan without applying it.")
@click.option(
    "--file",
    "path",
    type=click.Path(path_type=Path),
    default=DEFAULT_FILE,
    show_default="grafana/access.yaml",
    help="The access rules.",
)
@click.option("--url", help="Root of Grafana, instead of GRAFANA_URL.")
def main(dry_run: bool, path: Path, url: str | None) -> None:
    """Apply the access rules of a file to teams and folder permissions of Grafana.

    The plan is printed first, one line per change. A second run changes nothing.

    Exit codes: 0 success or dry run, 1 Grafana failed or a user is unknown, 2 invalid file, environment or
    command line.
    """
    rules, settings = _read(path, os.environ, url)
    try:
        plan = run(rules, Grafana(settings), dry_run=dry_run)
    except GrafanaError as error:
        _fail(EXIT_FAILED, str(error))
    if plan.problems:
        sys.exit(EXIT_FAILED)


def run(rules: Rules, grafana: Grafana, *, dry_run: bool) -> Plan:
    """Wait for Grafana, print the plan and its problems, and apply it unless it is a dry run.

    Raises:
        GrafanaError: When a request fails.
    """
    grafana.wait_until_healthy()
    state = read_state(grafana, rules)
    plan = make_plan(rules, state)
    for change in plan.changes:
        click.echo(str(change))
    _print_errors(plan.problems)
    if not plan.changes:
        click.echo("nothing to change")
    elif dry_run:
        click.echo(f"dry run: {len(plan.changes)} changes, none of them made")
    else:
        apply_plan(grafana, plan, state)
        click.echo(f"{len(plan.changes)} changes made")
    return plan


def _read(path: Path, environ: Mapping[str, str], url: str | None) -> tuple[Rules, Settings]:
    """Read file and environment, and report the problems of both."""
    problems: list[str] = []
    rules, settings = None, None
    try:
        rules = load_rules(path)
    except SettingsError as error:
        problems += error.problems
    try:
        settings = load_settings(environ, url)
    except SettingsError as error:
        problems += error.problems
    if rules is None or settings is None:
        _fail(EXIT_INPUT, *problems)
    return rules, settings


def _fail(code: int, *problems: str) -> NoReturn:
    _print_errors(problems)
    sys.exit(code)


def _print_errors(problems: Sequence[str]) -> None:
    for problem in problems:
        click.echo(f"{PROGRAM}: {problem}", err=True)
