"""Texts and colours of states."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from grafana_foundation_sdk.builders.dashboard import ThresholdsConfig
from grafana_foundation_sdk.models.dashboard import (
    DashboardSpecialValueMapOptions,
    SpecialValueMap,
    SpecialValueMatch,
    Threshold,
    ThresholdsMode,
    ValueMap,
    ValueMappingResult,
)

GREEN, ORANGE, RED, GREY, BLUE = "green", "orange", "red", "#8e8e8e", "blue"
FADED: Mapping[str, str] = {GREEN: "#5b7560", ORANGE: "#8c7656", RED: "#85595f", GREY: "#6b6b6b"}
"""Colours of what was last known, while there are no current data."""
MISSING = "\N{EN DASH}"
"""The text of a missing value."""


@dataclass(frozen=True)
class State:
    """A text and a colour."""

    text: str
    color: str


LAST_KNOWN = "last known"


def last_known(state: State) -> State:
    """Return a state as it was before the data went missing."""
    return State(f"{state.text}, {LAST_KNOWN}", FADED[state.color])


HEALTH: Mapping[float, State] = {
    1: State("Healthy", GREEN),
    2: State("Degraded", ORANGE),
    3: State("Down", RED),
    0: State("Unknown", GREY),
}
"""By `gatewayz_provider_health_status`, in the order of a legend."""
UNKNOWN_RANK, LAST_KNOWN_RANK = 1.5, 10.0
RANKS: Mapping[float, State] = {
    rank + place: kind(state)
    for place, kind in ((0.0, lambda state: state), (LAST_KNOWN_RANK, last_known))
    for rank, state in ((value or UNKNOWN_RANK, state) for value, state in HEALTH.items())
}
"""The same for a column that sorts the worst first: unknown is worse than healthy."""
ACTIVE: Mapping[float, State] = {1: State("Active", GREEN), 0: State("Inactive", ORANGE)}
ABILITY: Mapping[float, State] = {1: State("With", GREEN), 0: State("Without", GREY)}
YES_NO: Mapping[float, State] = {1: State("✓", GREEN), 0: State(MISSING, GREY)}
CHECK: Mapping[float, State] = {
    0: State("On time", GREEN),
    1: State("Overdue", RED),
    2: State("Never", ORANGE),
}
EXPORTER: Mapping[float, State] = {
    2: State("Up", GREEN),
    3: State("No provider", ORANGE),
    1: State("Gateway failing", RED),
    0: State("Exporter down", RED),
}
UP: Mapping[float, State] = {1: State("Up", GREEN), 0: State("Down", RED)}
FIRING: Mapping[float, State] = {1: State("Firing", RED)}


def mapping(states: Mapping[float, State]) -> ValueMap:
    """Return the value mapping of states."""
    return ValueMap(
        {
            f"{value:g}": ValueMappingResult(text=state.text, color=state.color, index=index)
            for index, (value, state) in enumerate(states.items())
        }
    )


def missing() -> SpecialValueMap:
    """Return the value mapping of a missing value."""
    result = ValueMappingResult(text=MISSING, color="transparent")
    return SpecialValueMap(DashboardSpecialValueMapOptions(SpecialValueMatch.NULL_AND_NAN, result))


def thresholds(first: str, *steps: tuple[float, str]) -> ThresholdsConfig:
    """Return colours by value: `first` below all steps, others from their value up."""
    rest = [Threshold(value, color) for value, color in steps]
    return ThresholdsConfig().mode(ThresholdsMode.ABSOLUTE).steps([Threshold(None, first), *rest])


UPTIME = thresholds(RED, (0.95, ORANGE), (0.99, GREEN))
"""Colours of an uptime from 0 to 1."""
