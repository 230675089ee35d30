"""Selects the proxy for a request by HTTPS_PROXY, HTTP_PROXY, ALL_PROXY and NO_PROXY, lower case first.

NO_PROXY has the syntax of curl and of Go's `httpproxy`. requests ignores some of it: ports of addresses,
brackets and `*.`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from types import MappingProxyType
from urllib.parse import urlsplit

from urllib3.util import Url, parse_url

from exporter.errors import GatewayError, Outcome

DEFAULT_PORTS: Mapping[str, int] = MappingProxyType({"http": 80, "https": 443})
SCHEMES = frozenset({"http", "https"})
ENTRY = re.compile(r"(?:\[([^\]]*)\]|([^:]*))(?::(\d+))?")
"""An entry of NO_PROXY: an address in brackets or a host without colons, then an optional port."""


@dataclass(frozen=True, slots=True)
class Proxy:
    """A proxy; `str` returns its address without credentials, and its variable."""

    url: str = field(repr=False)
    """With the credentials."""
    address: str
    """With the credentials masked."""
    variable: str

    def __str__(self) -> str:
        """Return the text for messages."""
        return f"{self.address} from {self.variable}"


def proxy_for(url: str, environ: Mapping[str, str]) -> Proxy | None:
    """Return the proxy for a request to `url`, None for a direct connection.

    Raises:
        GatewayError: With the outcome `proxy`, when the proxy is invalid or not supported.
    """
    target = urlsplit(url)
    variable = _first_set(environ, f"{target.scheme}_proxy", "all_proxy")
    port = target.port or DEFAULT_PORTS[target.scheme]
    if variable is None or _is_direct(target.hostname or "", port, environ):
        return None
    return _proxy(environ[variable].strip(), variable)


def is_loopback(host: str) -> bool:
    """Return whether a host name or address is of the loopback."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def _first_set(environ: Mapping[str, str], *names: str) -> str | None:
    """Return the first variable with a value; as in curl, an empty one counts as unset."""
    spellings = (spelling for name in names for spelling in (name, name.upper()))
    return next((spelling for spelling in spellings if environ.get(spelling, "").strip()), None)


def _is_direct(host: str, port: int, environ: Mapping[str, str]) -> bool:
    # As in Go: a proxy cannot reach the loopback of this host.
    if is_loopback(host):
        return True
    variable = _first_set(environ, "no_proxy")
    entries = re.split(r"[,\s]+", environ[variable].lower()) if variable else ()
    return any(_matches(entry, host.rstrip("."), port) for entry in entries)


def _matches(entry: str, host: str, port: int) -> bool:
    if entry == "*":
        return True
    pattern, entry_port = _split(entry)
    if entry_port not in (None, str(port)):
        return False
    try:
        return _has_address(pattern, ip_address(host))
    except ValueError:
        return _has_name(pattern, host)


def _split(entry: str) -> tuple[str, str | None]:
    """Return host and port; an IPv6 address or network without brackets has no port."""
    match = ENTRY.fullmatch(entry)
    return (match[1] or match[2] or "", match[3]) if match else (entry, None)


def _has_address(pattern: str, address: IPv4Address | IPv6Address) -> bool:
    """Return whether an entry is this address or a network that contains it."""
    try:
        return address in ip_network(pattern, strict=False)
    except ValueError:
        return False


def _has_name(pattern: str, host: str) -> bool:
    """Return whether a name matches a domain: with `*.` subdomains only, else also the domain itself."""
    if pattern.startswith("*."):
        return host.endswith(pattern[1:])
    domain = pattern.strip(".")
    return host == domain or host.endswith(f".{domain}")


def _proxy(text: str, variable: str) -> Proxy:
    url = _parsed(text if "://" in text else f"http://{text}")
    if url is None:
        raise GatewayError(Outcome.PROXY, f"{variable} is not a URL such as http://proxy.example:3128")
    if url.scheme not in SCHEMES:
        raise GatewayError(
            Outcome.PROXY,
            f"{variable} names a {url.scheme}:// proxy: only http:// and https:// proxies are supported",
        )
    masked = "***@" if url.auth else ""
    return Proxy(url.url, f"{url.scheme}://{masked}{url.netloc}", variable)


def _parsed(text: str) -> Url | None:
    """Return the URL, None if it is invalid, for example with an unescaped # or / in the password."""
    try:
        url = parse_url(text)
    except ValueError:
        return None
    rest = text.partition("://")[2].rpartition("@")[0]
    return url if url.host and not re.search(r"[\s/?#\\]", rest) else None
