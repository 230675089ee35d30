"""The proxy of a request by the environment."""

from __future__ import annotations

import pytest

from exporter.errors import GatewayError, Outcome
from exporter.transport.proxies import is_loopback, proxy_for

PROXY = "http://proxy.example:3128"
URL = "https://gateway.example/providers"


def is_direct(url: str, no_proxy: str) -> bool:
    """Return whether NO_PROXY excludes a request."""
    return proxy_for(url, {"ALL_PROXY": PROXY, "NO_PROXY": no_proxy}) is None


def variable_for(url: str, **environ: str) -> str | None:
    """Return the variable of the proxy for a request."""
    proxy = proxy_for(url, environ)
    return proxy.variable if proxy else None


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ([], None),
        (["HTTP_PROXY"], None),
        (["HTTPS_PROXY"], "HTTPS_PROXY"),
        (["ALL_PROXY"], "ALL_PROXY"),
        (["ALL_PROXY", "all_proxy"], "all_proxy"),
        (["all_proxy", "HTTPS_PROXY"], "HTTPS_PROXY"),
        (["HTTPS_PROXY", "https_proxy"], "https_proxy"),
    ],
)
def test_variables(names: list[str], expected: str | None) -> None:
    """The scheme's variable precedes ALL_PROXY, lower case precedes upper case."""
    assert expected == variable_for(URL, **dict.fromkeys(names, PROXY))


def test_variable_of_plain_http() -> None:
    """An http:// request uses HTTP_PROXY."""
    environ = {"HTTP_PROXY": PROXY, "HTTPS_PROXY": "http://other.example"}

    assert "HTTP_PROXY" == variable_for("http://gateway.example/", **environ)


@pytest.mark.parametrize("text", ["", " "])
def test_empty_variable(text: str) -> None:
    """An empty variable counts as unset."""
    assert "HTTPS_PROXY" == variable_for(URL, https_proxy=text, HTTPS_PROXY=PROXY, no_proxy=text)
    assert variable_for(URL, HTTPS_PROXY=PROXY, no_proxy=text, NO_PROXY="gateway.example") is None


def test_lower_case_no_proxy_wins() -> None:
    """no_proxy precedes NO_PROXY."""
    assert "HTTPS_PROXY" == variable_for(URL, HTTPS_PROXY=PROXY, no_proxy="x", NO_PROXY="gateway.example")


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
        ("proxy.example:3128", "http://proxy.example:3128", "http://proxy.example:3128 from HTTPS_PROXY"),
        (" http://proxy.example/ ", "http://proxy.example/", "http://proxy.example from HTTPS_PROXY"),
        ("https://[::1]:3128", "https://[::1]:3128", "https://[::1]:3128 from HTTPS_PROXY"),
        (
            "http://me:p@ss@proxy.example:3128",
            "http://me:p%40ss@proxy.example:3128",
            "http://***@proxy.example:3128 from HTTPS_PROXY",
        ),
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
    with pytest.raises(GatewayError) as caught:
        proxy_for(URL, {"HTTPS_PROXY": value})

    assert (Outcome.PROXY, "HTTPS_PROXY is not a URL such as http://proxy.example:3128") == (
        caught.value.outcome,
        caught.value.detail,
    )
    assert not caught.value.is_transient


@pytest.mark.parametrize("scheme", ["socks4", "socks5", "socks5h", "ftp"])
def test_unsupported_scheme(scheme: str) -> None:
    """Another scheme is the outcome `proxy`, with variable and scheme."""
    with pytest.raises(GatewayError) as caught:
        proxy_for(URL, {"ALL_PROXY": f"{scheme}://me:secret@proxy.example:1080"})

    expected = f"ALL_PROXY names a {scheme}:// proxy: only http:// and https:// proxies are supported"
    assert (Outcome.PROXY, expected) == (caught.value.outcome, caught.value.detail)


def test_unused_proxy() -> None:
    """An unsupported proxy that NO_PROXY excludes is ignored."""
    assert proxy_for(URL, {"ALL_PROXY": "socks5://proxy.example", "NO_PROXY": "*"}) is None


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("localhost", True),
        ("x.localhost", True),
        ("127.9.9.9", True),
        ("::1", True),
        ("localhost.example", False),
        ("192.0.2.1", False),
    ],
)
def test_is_loopback(host: str, expected: bool) -> None:
    """Names and addresses of the loopback."""
    assert expected is is_loopback(host)
