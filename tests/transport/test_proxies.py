"""The proxy of a request by the environment."""

from __future__ import annotations

import pytest

from exporter.errors import GatewayError, Outcome
from exporter.transport.proxies import proxy_for

HOST = "proxy.example:3128"
PROXY = f"http://{HOST}"
URL = "https://gateway.example/providers"


def is_direct(url: str, no_proxy: str) -> bool:
    """Return whether NO_PROXY excludes a request."""
    return proxy_for(url, {"ALL_PROXY": PROXY, "NO_PROXY": no_proxy}) is None


def variable_for(url: str = URL, **environ: str) -> str | None:
    """Return the variable of the proxy for a request."""
    proxy = proxy_for(url, environ)
    return proxy.variable if proxy else None


def error_of(**environ: str) -> tuple[Outcome, str, bool]:
    """Return outcome, detail and transience of the error of a proxy."""
    with pytest.raises(GatewayError) as caught:
        proxy_for(URL, environ)
    return caught.value.outcome, caught.value.detail, caught.value.is_transient


@pytest.mark.parametrize(
    ("names", "more", "expected"),
    [
        ([], {}, None),
        (["HTTP_PROXY"], {}, None),
        (["HTTPS_PROXY"], {}, "HTTPS_PROXY"),
        (["ALL_PROXY"], {}, "ALL_PROXY"),
        (["ALL_PROXY", "all_proxy"], {}, "all_proxy"),
        (["all_proxy", "HTTPS_PROXY"], {}, "HTTPS_PROXY"),
        (["HTTPS_PROXY", "https_proxy"], {}, "https_proxy"),
        *((["HTTPS_PROXY"], {"https_proxy": text, "no_proxy": text}, "HTTPS_PROXY") for text in ("", " ")),
        *((["HTTPS_PROXY"], {"no_proxy": text, "NO_PROXY": "gateway.example"}, None) for text in ("", " ")),
        (["HTTPS_PROXY"], {"no_proxy": "x", "NO_PROXY": "gateway.example"}, "HTTPS_PROXY"),
        ([], {"ALL_PROXY": "socks5://proxy.example", "NO_PROXY": "*"}, None),
    ],
)
def test_variables(names: list[str], more: dict[str, str], expected: str | None) -> None:
    """The scheme's variable precedes ALL_PROXY, lower case upper case; an empty one counts as unset."""
    assert expected == variable_for(**dict.fromkeys(names, PROXY), **more)


def test_variable_of_plain_http() -> None:
    """An http:// request uses HTTP_PROXY."""
    assert "HTTP_PROXY" == variable_for("http://gateway.example/", HTTP_PROXY=PROXY, HTTPS_PROXY="http://x")


@pytest.mark.parametrize(
    ("url", "matching", "others"),
    [
        (
            URL,
            "* | gateway.example | GATEWAY.example. | x.example, gateway.example | x.example gateway.example"
            " | example | .example | .gateway.example | *.example | gateway.example:443 | .example:443",
            "other.example, | *.gateway.example | way.example | *way.example | gateway.example.com"
            " | gateway.example:444 | *.example:444 | https://gateway.example | 192.0.2.0/24",
        ),
        ("http://gateway.example/", "gateway.example:80", "gateway.example:443"),
        ("https://gateway.example:8443/", "gateway.example:8443", "gateway.example:443"),
        ("https://gateway.example./", "gateway.example", "other.example"),
        (
            "https://192.0.2.7/",
            "192.0.2.7 | 192.0.2.7:443 | 192.0.2.0/24 | 192.0.2.9/24",
            "192.0.2.7:444 | 192.0.3.0/24 | 192.0.2.0/99 | 2.7 | .2.7",
        ),
        (
            "https://[2001:db8::1]/",
            "2001:db8::1 | [2001:db8::1] | [2001:db8::1]:443 | 2001:DB8:0::1 | 2001:db8::/32",
            "[2001:db8::1]:444 | [2001:db8::2]",
        ),
    ],
)
def test_no_proxy(url: str, matching: str, others: str) -> None:
    """Each documented form of an entry matches its hosts, and no others."""
    assert [True] * len(matching.split(" | ")) == [is_direct(url, entry) for entry in matching.split(" | ")]
    assert [False] * len(others.split(" | ")) == [is_direct(url, entry) for entry in others.split(" | ")]


@pytest.mark.parametrize("host", ["localhost:8000", "127.0.0.2", "[::1]"])
def test_loopback(host: str) -> None:
    """Requests to the loopback have no proxy."""
    assert is_direct(f"http://{host}/", "")


@pytest.mark.parametrize(
    ("value", "url", "text"),
    [
        (HOST, PROXY, f"{PROXY} from HTTPS_PROXY"),
        (" http://proxy.example/ ", "http://proxy.example/", "http://proxy.example from HTTPS_PROXY"),
        ("https://[::1]:3128", "https://[::1]:3128", "https://[::1]:3128 from HTTPS_PROXY"),
        (f"http://me:p@ss@{HOST}", f"http://me:p%40ss@{HOST}", f"http://***@{HOST} from HTTPS_PROXY"),
    ],
)
def test_address(value: str, url: str, text: str) -> None:
    """The scheme is optional, and the text masks credentials."""
    proxy = proxy_for(URL, {"HTTPS_PROXY": value})

    assert proxy is not None
    assert (url, text) == (proxy.url, str(proxy))
    assert "p%40ss" not in repr(proxy)


@pytest.mark.parametrize(
    "value",
    [
        *(
            "http://",
            "http://proxy.example:port",
            "http://proxy.example:99999",
            "http://[::1",
            "proxy example",
        ),
        *("http://me:12#secret@proxy.example", "http://me:12/secret@proxy.example", "http://me:12?s@proxy"),
    ],
)
def test_malformed(value: str) -> None:
    """An invalid URL is the outcome `proxy`, with the variable and without its value."""
    expected = "HTTPS_PROXY is not a URL such as http://proxy.example:3128"
    assert (Outcome.PROXY, expected, False) == error_of(HTTPS_PROXY=value)


@pytest.mark.parametrize("scheme", ["socks4", "socks5", "socks5h", "ftp"])
def test_unsupported_scheme(scheme: str) -> None:
    """Another scheme is the outcome `proxy`, with variable and scheme."""
    expected = f"ALL_PROXY names a {scheme}:// proxy: only http:// and https:// proxies are supported"
    assert (Outcome.PROXY, expected, False) == error_of(ALL_PROXY=f"{scheme}://me:secret@proxy.example:1080")
