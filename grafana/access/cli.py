"""The command line.

Exit codes: 0 all is as the file says, or was only planned; 1 Grafana did not take it, or a user does not
exist; 2 wrong file, environment or command line.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NoReturn

import click

from grafana.access.apply import apply_plan
from grafana.access.client import Grafana
from grafana.access.errors import GrafanaError, InputError
from grafana.access.plan import Plan, make_plan, read_state
from grafana.access.rules import Rules, load_rules
from grafana.access.settings import VARIABLES, Settings, load_settings

PROGRAM = "grafana.access"
EXIT_NOT_TAKEN = 1
EXIT_INPUT = 2
DEFAULT_FILE = Path(__file__).parent.parent / "access.yaml"


def _environment_help() -> str:
    width = max(len(name) for name, _ in VARIABLES)
    return "\b\nEnvironment:\n" + "\n".join(f"  {name:<{width}}  {meaning}" for name, meaning in VARIABLES)


@click.command(
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120},
    epilog=_environment_help(),
)
@click.option("--dry-run", is_flag=True, help="Print what would change, and change nothing.")
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
    """Bring teams and folder permissions of Grafana to what the file says.

    Each change is printed as one line before any is made. A second run changes nothing.

    Exit codes: 0 all is as the file says, or was only planned; 1 Grafana did not take it, or a user does
    not exist; 2 wrong file, environment or command line.
    """
    rules, settings = _read(path, os.environ, url)
    try:
        plan = run(rules, Grafana(settings), dry_run=dry_run)
    except GrafanaError as error:
        _fail(EXIT_NOT_TAKEN, str(error))
    if plan.problems:
        sys.exit(EXIT_NOT_TAKEN)


def run(rules: Rules, grafana: Grafana, *, dry_run: bool) -> Plan:
    """Wait for Grafana, print the plan and its problems, and make the changes unless it is a dry run.

    Raises:
        GrafanaError: When Grafana does not answer as it should; what was planned before is printed.
    """
    grafana.wait_until_healthy()
    state = read_state(grafana, rules)
    plan = make_plan(rules, state)
    for change in plan.changes:
        click.echo(str(change))
    _tell(plan.problems)
    if not plan.changes:
        click.echo("nothing to change")
    elif dry_run:
        click.echo(f"dry run: {len(plan.changes)} changes, none of them made")
    else:
        apply_plan(grafana, plan, state)
        click.echo(f"{len(plan.changes)} changes made")
    return plan


def _read(path: Path, environ: Mapping[str, str], url: str | None) -> tuple[Rules, Settings]:
    """Read file and environment, and tell the problems of both at once."""
    problems: list[str] = []
    rules, settings = None, None
    try:
        rules = load_rules(path)
    except InputError as error:
        problems += error.problems
    try:
        settings = load_settings(environ, url)
    except InputError as error:
        problems += error.problems
    if rules is None or settings is None:
        _fail(EXIT_INPUT, *problems)
    return rules, settings


def _fail(code: int, *problems: str) -> NoReturn:
    _tell(problems)
    sys.exit(code)


def _tell(problems: Sequence[str]) -> None:
    for problem in problems:
        click.echo(f"{PROGRAM}: {problem}", err=True)
