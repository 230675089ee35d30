"""Converts the text of settings into values.

A converter gets text without surrounding whitespace. It returns the value, or raises a `ValueError`. Its
message ends a sentence that begins with the name of the setting, for example "must be true or false".
"""

from __future__ import annotations

import re
import socket
from collections.abc import Callable, Mapping
from ipaddress import ip_address
from types import MappingProxyType

UNITS: Mapping[str, float] = MappingProxyType(
    {"y": 31_536_000.0, "w": 604_800.0, "d": 86_400.0, "h": 3_600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
)
"""Units of Prometheus' durations in seconds, largest first."""
DURATION = re.compile("".join(f"(?:([0-9]+){unit})?" for unit in UNITS))
NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
PORT = re.compile(r":?([0-9]{1,5})")
MAX_PORT = 65_535
LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?", re.IGNORECASE)
"""A label of a host name; underscores are not standard, but common."""
MAX_HOST = 253
PATH = re.compile(r"(?:/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)*/?")
BOOLEANS: Mapping[str, bool] = MappingProxyType({"true": True, "1": True, "false": False, "0": False})
ALL_ADDRESSES = "::"


def parse_duration(text: str) -> float | None:
    """Return the seconds of a number or of a Prometheus duration such as 1h30m, None for other text."""
    if NUMBER.fullmatch(text):
        return float(text)
    match = DURATION.fullmatch(text)
    if not text or match is None:
        return None
    return sum(
        float(count) * seconds for count, seconds in zip(match.groups(), UNITS.values(), strict=True) if count
    )


def format_duration(seconds: float) -> str:
    """Return a Prometheus duration in the largest exact unit, at millisecond precision."""
    milliseconds = round(seconds * 1000)
    unit = next(unit for unit in UNITS if unit not in "yw" and milliseconds % round(UNITS[unit] * 1000) == 0)
    return f"{milliseconds // round(UNITS[unit] * 1000)}{unit}"


def duration(shortest: float, longest: float, *, or_zero: bool = False) -> Callable[[str], float]:
    """Return the converter of a duration within limits, in seconds; `or_zero` accepts 0 as well."""
    limits = f"must be between {format_duration(shortest)} and {format_duration(longest)}"
    if or_zero:
        limits += ", or 0"

    def read(text: str) -> float:
        seconds = parse_duration(text)
        if seconds is None:
            raise ValueError("must be a duration such as 60, 60s or 5m")
        if not (shortest <= seconds <= longest or (or_zero and seconds == 0)):
            raise ValueError(limits)
        return seconds

    return read


def port(text: str) -> int:
    """Return a port; a leading colon is valid, as in a listen address."""
    match = PORT.fullmatch(text)
    if match is None or int(match[1]) > MAX_PORT:
        raise ValueError(f"must be a port from 0 to {MAX_PORT}")
    return int(match[1])


def host(text: str) -> str:
    """Return an IP address, without brackets, or a host name."""
    bare = text[1:-1] if text.startswith("[") and text.endswith("]") and ":" in text else text
    if not (_is_address(bare) or _is_host_name(bare)):
        raise ValueError("must be an IP address or a host name without a port, such as 127.0.0.1 or ::")
    return bare


def listen_address(text: str) -> tuple[str, int]:
    """Return host and port of `host:port`, `[::1]:port` or `:port`, which means all addresses."""
    before, colon, after = text.rpartition(":")
    if colon and after and not ("[" not in before and ":" in before):
        try:
            return host(before) if before else ALL_ADDRESSES, port(after)
        except ValueError:
            pass
    raise ValueError("must be host:port or :port, such as :8001, 127.0.0.1:8001 or [::1]:8001")


def address(host: str, port: int) -> str:
    """Return `host:port`, with brackets around an IPv6 address."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def listen_addresses(text: str) -> tuple[tuple[str, int], ...]:
    """Return comma-separated listen addresses."""
    return tuple(listen_address(part.strip()) for part in text.split(","))


def url_path(text: str) -> str:
    """Return a URL path with a leading and without a trailing slash, empty for the root."""
    path = text if text.startswith("/") else f"/{text}"
    if PATH.fullmatch(path) is None:
        raise ValueError("must be a path of letters, digits and -._~, such as /exporter")
    return path.rstrip("/")


def boolean(text: str) -> bool:
    """Return a boolean."""
    if text.lower() not in BOOLEANS:
        raise ValueError("must be true or false")
    return BOOLEANS[text.lower()]


def choice(spellings: Mapping[str, str]) -> Callable[[str], str]:
    """Return the converter of a set of words, in any case, by the value of each spelling."""
    *words, last = dict.fromkeys(spellings.values())
    rule = f"must be {', '.join(words)} or {last}"

    def read(text: str) -> str:
        if text.lower() not in spellings:
            raise ValueError(rule)
        return spellings[text.lower()]

    return read


def utf8(text: str) -> str:
    """Return text that is valid UTF-8."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError("must be UTF-8 text") from None
    return text


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def _is_host_name(text: str) -> bool:
    try:
        name = text.encode("idna").decode("ascii").removesuffix(".")
    except UnicodeError:
        return False
    labels = name.split(".")
    if len(name) > MAX_HOST or not all(map(LABEL.fullmatch, labels)):
        return False
    return not labels[-1].isdecimal() or _is_short_ipv4(name)


def _is_short_ipv4(text: str) -> bool:
    """Return whether the system accepts an abbreviated IPv4 address, such as 127.1."""
    try:
        socket.inet_aton(text)
    except OSError:
        return False
    return True
