"""Tests of `exporter.web.page.links`."""

from __future__ import annotations

import json
from urllib.parse import parse_qs, urlsplit

import pytest

from exporter.web.page.links import NO_LINKS, Links

LINKS = Links("https://grafana.example.com/sub", "https://git.example.com/main")


def test_boards() -> None:
    """The boards are those of grafana/dashboards, below the path of Grafana."""
    assert "https://grafana.example.com/sub/d/gatewayz-provider-management" == LINKS.boards()
    assert "https://grafana.example.com/sub/d/gatewayz-provider?var-provider=groq" == LINKS.board("groq")


@pytest.mark.parametrize("slug", ["a b", "a&b=c", "a/b", "ä", '"><script>'])
def test_odd_slug(slug: str) -> None:
    """A slug is one parameter, whatever it contains."""
    assert {"var-provider": [slug]} == parse_qs(urlsplit(LINKS.board(slug)).query)


def test_trace() -> None:
    """A trace id leads to the trace, by the data source of the stack."""
    link = urlsplit(LINKS.trace("abc"))
    asked = parse_qs(link.query, strict_parsing=True)
    pane = json.loads(asked["left"][0])

    assert "/sub/explore" == link.path
    assert {"orgId": ["1"], "left": asked["left"]} == asked
    assert ("tempo", {"from": "now-1h", "to": "now"}) == (pane["datasource"], pane["range"])
    assert [
        {
            "refId": "A",
            "datasource": {"type": "tempo", "uid": "tempo"},
            "queryType": "traceql",
            "query": "abc",
        }
    ] == pane["queries"]


def test_runbook() -> None:
    """A runbook is a page of the repository."""
    assert "https://git.example.com/main/docs/runbooks/GatewayzDataStale.md" == LINKS.runbook(
        "GatewayzDataStale"
    )


def test_no_servers() -> None:
    """Without URLs there are no links."""
    found = [NO_LINKS.boards(), NO_LINKS.board("a"), NO_LINKS.trace("b"), NO_LINKS.runbook("c")]

    assert [""] * 4 == found
