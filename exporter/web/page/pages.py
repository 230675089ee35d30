"""Renders the pages. Data from the gateway are untrusted: the templates escape them.

The content security policy allows the style and the script of the page, by their hashes, and requests to the
exporter.
"""

from __future__ import annotations

import base64
import hashlib
import threading
from collections.abc import Mapping
from functools import cached_property, partial
from importlib.resources import files
from operator import is_not
from types import MappingProxyType
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from exporter import __version__
from exporter.model.history import History
from exporter.model.provider import CAPABILITIES
from exporter.model.snapshot import Snapshot
from exporter.status.state import Past, State
from exporter.web.page.figures import BAR_HEIGHT, CHART_HEIGHT, CHART_WIDTH, SPARK_HEIGHT
from exporter.web.page.links import NO_LINKS, Links, runbook_path
from exporter.web.page.query import SORTS, STATES, Query
from exporter.web.page.view import detail, overview

if TYPE_CHECKING:
    from jinja2 import Environment

SHORTEST_REFRESH, LONGEST_REFRESH = 5.0, 30.0


class StatusPage:
    """Renders the pages, the overview at most once for each snapshot; thread-safe."""

    def __init__(self, interval: float, telemetry_path: str = "/metrics", links: Links = NO_LINKS) -> None:
        """Read the templates.

        Args:
            interval: Seconds between polls.
            telemetry_path: Path of the metrics, without the route prefix.
            links: To other servers.
        """
        self._telemetry_path = telemetry_path
        self._links = links
        self._refresh = int(max(SHORTEST_REFRESH, min(LONGEST_REFRESH, interval / 2)))
        self._lock = threading.Lock()
        self._rendered: tuple[Snapshot, History, Past] | None = None
        self._body = b""
        self._style, self._script = (_read(name) for name in ("style.css", "live.js"))
        self.headers: Mapping[str, str] = MappingProxyType(_headers(self._style, self._script))

    def overview(self, state: State, query: Query) -> bytes:
        """Return the overview in UTF-8."""
        # After the death of the poll loop the snapshot stays the same while the ages grow: do not cache.
        if not query.is_default or state.overdue:
            return self._overview(state, query)
        known = (state.snapshot, state.history, state.past)
        with self._lock:
            if self._rendered is None or any(map(is_not, self._rendered, known)):
                self._rendered, self._body = known, self._overview(state, query)
            return self._body

    def detail(self, slug: str, state: State) -> bytes | None:
        """Return the page of a provider; None if it is neither listed nor in the history."""
        view = detail(slug, state)
        return None if view is None else self._render("provider.html", "../" * (slug.count("/") + 1), view)

    def _overview(self, state: State, query: Query) -> bytes:
        return self._render("overview.html", "./", overview(state, query))

    def _render(self, template: str, root: str, view: Any) -> bytes:
        """Render a template; `root` is the relative URL of the overview."""
        return (
            self._environment.get_template(template).render(view=view, root=root).encode("utf-8", "replace")
        )

    @cached_property
    def _environment(self) -> Environment:
        # The import takes a large part of the start-up time, and many exporters never render a page.
        from jinja2 import DictLoader, Environment, StrictUndefined

        names = ("layout.html", "macros.html", "overview.html", "provider.html")
        environment = Environment(
            loader=DictLoader({name: _read(name) for name in names}),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        # A name can contain what UTF-8 cannot.
        environment.filters["in_path"] = partial(quote, errors="replace")
        environment.globals |= {
            "bar_height": BAR_HEIGHT,
            "capabilities": tuple(name for name, _ in CAPABILITIES),
            "chart": {"width": CHART_WIDTH, "height": CHART_HEIGHT},
            "links": self._links,
            "refresh": self._refresh,
            "runbook_path": runbook_path,
            "script": self._script,
            "sorts": SORTS,
            "spark_height": SPARK_HEIGHT,
            "states": STATES,
            "style": self._style,
            "telemetry_path": self._telemetry_path,
            "version": __version__,
        }
        return environment


def _read(name: str) -> str:
    return files("exporter.web.page").joinpath(name).read_text("utf-8")


def _headers(style: str, script: str) -> dict[str, str]:
    return {
        "Content-Security-Policy": f"default-src 'none'; style-src '{_hash(style)}'; "
        f"script-src '{_hash(script)}'; connect-src 'self'; form-action 'self'; base-uri 'none'; "
        "frame-ancestors 'none'",
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
        "Cache-Control": "no-store",
    }


def _hash(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"
