"""Findings of `doctor`, as text and as JSON."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

import msgspec

from exporter.system.terminal import printable

NAME_WIDTH = 24
MARK_WIDTH = 11
MARGIN = " " * (MARK_WIDTH + NAME_WIDTH)
LINE_WIDTH = 110
MAX_TEXT = 300
"""Maximum length of a finding in characters."""


class State(StrEnum):
    """The result of a check; values are those of the JSON output."""

    OK = "ok"
    FAILED = "failed"
    WAITING = "waiting"
    """Too early to tell: nothing was polled or scraped yet."""
    SKIPPED = "skipped"
    """Its server has no URL, or there is nothing to check."""
    NOT_TRIED = "not_tried"
    """A check that it needs did not pass."""


MARKS = MappingProxyType(
    {
        State.OK: "ok",
        State.FAILED: "FAILED",
        State.WAITING: "wait",
        State.SKIPPED: "skipped",
        State.NOT_TRIED: "not tried",
    }
)
PASSED = frozenset({State.OK, State.SKIPPED})
SECRET_PARTS = re.compile(r"(?<=//)[^/@\s]+(?=@)|(?<=\?)[^\s\"]+")
"""User, password and query of a URL."""
DURATIONS = ((86_400, "d"), (3_600, "h"), (60, "min"))


@dataclass(frozen=True, slots=True)
class Finding:
    """What a check found, and what to do."""

    state: State
    found: str
    remedy: str = ""
    """One sentence per line; empty if there is nothing to do."""
    unset: str = ""
    """The variable whose absence is the reason to skip it."""


@dataclass(frozen=True, slots=True)
class Result:
    """A check and its finding."""

    check: str
    address: str | None
    """URL of the server."""
    finding: Finding


def ok(found: str) -> Finding:
    """Return the finding of a check that passed."""
    return Finding(State.OK, found)


def failed(found: str, remedy: str) -> Finding:
    """Return the finding of a check that failed."""
    return Finding(State.FAILED, found, remedy)


def not_set(variable: str) -> Finding:
    """Return the finding of a check that is skipped without this variable."""
    return Finding(State.SKIPPED, f"{variable} is not set", unset=variable)


def is_ok(finding: Finding) -> bool:
    """Return whether a check passed."""
    return finding.state is State.OK


def all_passed(results: Sequence[Result]) -> bool:
    """Return whether every check passed or was skipped."""
    return all(result.finding.state in PASSED for result in results)


def as_text(result: Result) -> str:
    """Return one line for the finding, and further lines for the remedy."""
    finding = result.finding
    remedies = (_filled(text, f"{MARGIN}> ") for text in finding.remedy.splitlines())
    return "\n".join([f"{_head(finding.state, result.check)}{finding.found}".rstrip(), *remedies])


def end_as_text(results: Sequence[Result]) -> str:
    """Return one line for all checks that were skipped for want of a variable, if any, and the summary."""
    unset = [result.finding.unset for result in results if result.finding.unset]
    head = _head(State.SKIPPED, plural(len(unset), "check"))
    lines = [_filled(f"not set: {', '.join(dict.fromkeys(unset))}", head)] if unset else []
    return "\n".join([*lines, "", summary(results)])


def summary(results: Sequence[Result]) -> str:
    """Return the last line of the text output."""
    by_state = {
        state: [result.check for result in results if result.finding.state is state] for state in State
    }
    skipped = f", {len(by_state[State.SKIPPED])} skipped" if by_state[State.SKIPPED] else ""
    if by_state[State.FAILED]:
        count = len(by_state[State.FAILED])
        return f"{plural(count, 'check')} failed{skipped}. Start with {by_state[State.FAILED][0]}."
    if not all_passed(results):
        count = len(results) - len(by_state[State.OK]) - len(by_state[State.SKIPPED])
        return f"No check failed, {count} not complete yet{skipped}. Run this again in a minute."
    return f"{plural(len(by_state[State.OK]), 'check')} passed{skipped}."


def as_json(results: Sequence[Result]) -> str:
    """Return one JSON object."""
    document = {
        "ok": all_passed(results),
        "checks": [
            {
                "check": result.check,
                "state": result.finding.state.value,
                "address": result.address,
                "found": result.finding.found,
                "remedy": result.finding.remedy or None,
            }
            for result in results
        ],
    }
    return msgspec.json.format(msgspec.json.encode(document)).decode()


def _head(state: State, name: str) -> str:
    return f"{MARKS[state]:<{MARK_WIDTH}}{name:<{NAME_WIDTH}}"


def _filled(text: str, first: str) -> str:
    """Return a text in lines of limited width, after the head of the first one; a command is one line."""
    if text.startswith("$ "):
        return first + text
    return textwrap.fill(
        text, LINE_WIDTH, initial_indent=first, subsequent_indent=" " * len(first),
        break_long_words=False, break_on_hyphens=False,
    )  # fmt: skip


def sanitized(text: str) -> str:
    """Return a server's text on one line, without control characters and without credentials in URLs."""
    return printable(" ".join(SECRET_PARTS.sub("...", text).split()))


def truncated(text: str) -> str:
    """Return at most MAX_TEXT characters of a text."""
    return text if len(text) <= MAX_TEXT else f"{text[:MAX_TEXT]}..."


def plural(number: int, noun: str) -> str:
    """Return a number and its noun."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def duration(seconds: float) -> str:
    """Return a duration in its largest unit, rounded down."""
    for length, unit in DURATIONS:
        if seconds >= length:
            return f"{seconds // length:.0f} {unit}"
    return f"{max(0.0, seconds) // 1:.0f} s"
