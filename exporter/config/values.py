"""How the text of a setting becomes a value.

Each reader takes text without whitespace around it. It returns the value, or raises a ValueError whose
message completes a sentence that begins with the name of the setting, for example "must be true or false".
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
"""Units of a duration in seconds, largest first, as in Prometheus' documentation."""
DURATION = re.compile("".join(f"(?:([0-9]+){unit})?" for unit in UNITS))
NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
PORT = re.compile(r":?([0-9]{1,5})")
MAX_PORT = 65_535
LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?", re.IGNORECASE)
"""One part of a host name; underscores are not standard, but used."""
MAX_HOST = 253
PATH = re.compile(r"(?:/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)*/?")
BOOLEANS: Mapping[str, bool] = MappingProxyType({"true": True, "1": True, "false": False, "0": False})
EVERY_ADDRESS = "::"


def parse_duration(text: str) -> float | None:
    """Return the seconds of plain seconds or of Prometheus' form such as 1h30m; None for other text."""
    if NUMBER.fullmatch(text):
        return float(text)
    match = DURATION.fullmatch(text)
    if not text or match is None:
        return None
    return sum(
        float(count) * seconds for count, seconds in zip(match.groups(), UNITS.values(), strict=True) if count
    )


def format_duration(seconds: float) -> str:
    """Return a duration of whole milliseconds in Prometheus' form, in its largest exact unit."""
    milliseconds = round(seconds * 1000)
    unit = next(unit for unit in UNITS if unit not in "yw" and milliseconds % round(UNITS[unit] * 1000) == 0)
    return f"{milliseconds // round(UNITS[unit] * 1000)}{unit}"


def duration(shortest: float, longest: float) -> Callable[[str], float]:
    """Return the reader of a duration within these bounds, in seconds."""
    bounds = f"must be between {format_duration(shortest)} and {format_duration(longest)}"

    def read(text: str) -> float:
        seconds = parse_duration(text)
        if seconds is None:
            raise ValueError("must be a duration such as 60, 60s or 5m")
        if not shortest <= seconds <= longest:
            raise ValueError(bounds)
        return seconds

    return read


def port(text: str) -> int:
    """Return a port; a colon before it is accepted, as in a listen address."""
    match = PORT.fullmatch(text)
    if match is None or int(match[1]) > MAX_PORT:
        raise ValueError(f"must be a port from 0 to {MAX_PORT}")
    return int(match[1])


def host(text: str) -> str:
    """Return an IP address or a host name; brackets around an IPv6 address are removed."""
    bare = text[1:-1] if text.startswith("[") and text.endswith("]") and ":" in text else text
    if not (_is_address(bare) or _is_host_name(bare)):
        raise ValueError("must be an IP address or a host name without a port, such as 127.0.0.1 or ::")
    return bare


def listen_address(text: str) -> tuple[str, int]:
    """Return host and port of `host:port`, `[::1]:port` or `:port`, which is every address of the machine."""
    before, colon, after = text.rpartition(":")
    if colon and after and not ("[" not in before and ":" in before):
        try:
            return host(before) if before else EVERY_ADDRESS, port(after)
        except ValueError:
            pass
    raise ValueError("must be host:port or :port, such as :8001, 127.0.0.1:8001 or [::1]:8001")


def address(host: str, port: int) -> str:
    """Return host and port as one text, with brackets around an IPv6 address."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def listen_addresses(text: str) -> tuple[tuple[str, int], ...]:
    """Return several listen addresses, with commas between them."""
    return tuple(listen_address(part.strip()) for part in text.split(","))


def url_path(text: str) -> str:
    """Return the path of a URL, with a slash at its start and none at its end; empty for the root."""
    path = text if text.startswith("/") else f"/{text}"
    if PATH.fullmatch(path) is None:
        raise ValueError("must be a path of letters, digits and -._~, such as /exporter")
    return path.rstrip("/")


def boolean(text: str) -> bool:
    """Return a truth value."""
    if text.lower() not in BOOLEANS:
        raise ValueError("must be true or false")
    return BOOLEANS[text.lower()]


def choice(spellings: Mapping[str, str]) -> Callable[[str], str]:
    """Return the reader of a closed set of words in any case, each spelling with the value that it means."""
    *words, last = dict.fromkeys(spellings.values())
    rule = f"must be {', '.join(words)} or {last}"

    def read(text: str) -> str:
        if text.lower() not in spellings:
            raise ValueError(rule)
        return spellings[text.lower()]

    return read


def utf8(text: str) -> str:
    """Return text as it is, unless it has bytes that are not UTF-8."""
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
    """Tell whether the system reads digits as an IPv4 address, such as 127.1."""
    try:
        socket.inet_aton(text)
    except OSError:
        return False
    return True
