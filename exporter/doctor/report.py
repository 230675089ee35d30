"""What `doctor` found, and how it is told to a person or to a program."""

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
LINE_WIDTH = 110
MAX_TEXT = 300
"""Characters of what was found that are shown."""


class State(StrEnum):
    """How a check ended; the value is that of the JSON form."""

    OK = "ok"
    FAILED = "failed"
    WAITING = "waiting"
    """Nothing is broken as far as can be told, but what is looked for is not there yet."""
    SKIPPED = "skipped"
    """There is no address for it."""
    NOT_TRIED = "not_tried"
    """What it needs is not well."""


MARKS = MappingProxyType(
    {
        State.OK: "ok",
        State.FAILED: "FAILED",
        State.WAITING: "wait",
        State.SKIPPED: "skipped",
        State.NOT_TRIED: "not tried",
    }
)
WELL = frozenset({State.OK, State.SKIPPED})
SECRET_PARTS = re.compile(r"(?<=//)[^/@\s]+(?=@)|(?<=\?)[^\s\"]+")
"""Of a URL: user and password, and the query."""
DURATIONS = ((86_400, "d"), (3_600, "h"), (60, "min"))


@dataclass(frozen=True, slots=True)
class Finding:
    """What a check found, and what to do about it."""

    state: State
    found: str
    remedy: str = ""
    """Sentences, one a line; empty where there is nothing to do."""


@dataclass(frozen=True, slots=True)
class Result:
    """A check and its finding."""

    check: str
    address: str | None
    """Of the server that was asked."""
    finding: Finding


def ok(found: str) -> Finding:
    """Return the finding of a check that went well."""
    return Finding(State.OK, found)


def failed(found: str, remedy: str) -> Finding:
    """Return the finding that something is broken."""
    return Finding(State.FAILED, found, remedy)


def is_ok(finding: Finding) -> bool:
    """Tell whether a check went well."""
    return finding.state is State.OK


def is_well(results: Sequence[Result]) -> bool:
    """Tell whether nothing is left to do."""
    return all(result.finding.state in WELL for result in results)


def as_text(result: Result) -> str:
    """Return one line, and what to do on further ones."""
    finding = result.finding
    line = f"{MARKS[finding.state]:<{MARK_WIDTH}}{result.check:<{NAME_WIDTH}}{finding.found}"
    margin = " " * (MARK_WIDTH + NAME_WIDTH)
    remedies = (
        textwrap.fill(
            text, LINE_WIDTH, initial_indent=f"{margin}> ", subsequent_indent=f"{margin}  ",
            break_long_words=False, break_on_hyphens=False,
        )
        for text in finding.remedy.splitlines()
    )  # fmt: skip
    return "\n".join([line.rstrip(), *remedies])


def summary(results: Sequence[Result]) -> str:
    """Return the last line for a person."""
    by_state = {
        state: [result.check for result in results if result.finding.state is state] for state in State
    }
    skipped = f", {len(by_state[State.SKIPPED])} skipped" if by_state[State.SKIPPED] else ""
    if by_state[State.FAILED]:
        count = len(by_state[State.FAILED])
        return f"Not well: {count} failed{skipped}. Begin with {by_state[State.FAILED][0]}."
    if not is_well(results):
        count = len(results) - len(by_state[State.OK]) - len(by_state[State.SKIPPED])
        return f"Nothing has failed, but {count} cannot be told yet{skipped}. Run this again in a minute."
    return f"All is well: {counted(len(by_state[State.OK]), 'check')}{skipped}."


def as_json(results: Sequence[Result]) -> str:
    """Return one JSON object."""
    document = {
        "ok": is_well(results),
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


def shown(text: str) -> str:
    """Return what a server said: on one line, and without what may be a key in a URL or steer a terminal."""
    return printable(" ".join(SECRET_PARTS.sub("...", text).split()))


def cut(text: str) -> str:
    """Return as much of a text as is shown; not before its secrets are masked, of which a part might stay."""
    return text if len(text) <= MAX_TEXT else f"{text[:MAX_TEXT]}..."


def counted(number: int, noun: str) -> str:
    """Return a number of things."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def spoken(seconds: float) -> str:
    """Return a duration in one unit, rounded down."""
    for length, unit in DURATIONS:
        if seconds >= length:
            return f"{seconds // length:.0f} {unit}"
    return f"{max(0.0, seconds) // 1:.0f} s"
