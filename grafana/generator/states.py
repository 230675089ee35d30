"""Texts and colours of states."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from grafana_foundation_sdk.builders.dashboard import ThresholdsConfig
from grafana_foundation_sdk.models.dashboard import Threshold, ThresholdsMode, ValueMap, ValueMappingResult

GREEN, ORANGE, RED, GREY, BLUE = "green", "orange", "red", "#8e8e8e", "blue"


@dataclass(frozen=True)
class State:
    """A text and a colour."""

    text: str
    color: str


HEALTH: Mapping[int, State] = {
    1: State("Healthy", GREEN),
    2: State("Degraded", ORANGE),
    3: State("Down", RED),
    0: State("Unknown", GREY),
}
"""By `gatewayz_provider_health_status`, in the order of a legend."""
ACTIVE: Mapping[int, State] = {1: State("Active", GREEN), 0: State("Inactive", ORANGE)}
ABILITY: Mapping[int, State] = {1: State("With", GREEN), 0: State("Without", GREY)}
YES_NO: Mapping[int, State] = {1: State("✓", GREEN), 0: State("-", GREY)}
CHECK: Mapping[int, State] = {
    0: State("On time", GREEN),
    1: State("Overdue", RED),
    2: State("Never", ORANGE),
}
EXPORTER: Mapping[int, State] = {
    2: State("Up", GREEN),
    3: State("No provider", ORANGE),
    1: State("Gateway failing", RED),
    0: State("Exporter down", RED),
}
UP: Mapping[int, State] = {1: State("Up", GREEN), 0: State("Down", RED)}
FIRING: Mapping[int, State] = {1: State("Firing", RED)}


def mapping(states: Mapping[int, State]) -> ValueMap:
    """Return the value mapping of states."""
    return ValueMap(
        {
            str(value): ValueMappingResult(text=state.text, color=state.color, index=index)
            for index, (value, state) in enumerate(states.items())
        }
    )


def thresholds(first: str, *steps: tuple[float, str]) -> ThresholdsConfig:
    """Return colours by value: `first` below all steps, others from their value up."""
    rest = [Threshold(value, color) for value, color in steps]
    return ThresholdsConfig().mode(ThresholdsMode.ABSOLUTE).steps([Threshold(None, first), *rest])


UPTIME = thresholds(RED, (0.95, ORANGE), (0.99, GREEN))
"""Colours of an uptime from 0 to 1."""
