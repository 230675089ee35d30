"""What a visitor selected: search, filters and order, as they stand in the page's address."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from types import MappingProxyType
from typing import Any
from urllib.parse import urlencode

from exporter.model.history import History
from exporter.model.provider import CAPABILITIES, Provider
from exporter.model.snapshot import Snapshot
from exporter.status.order import rank

STATES = ("down", "degraded", "unknown", "healthy", "overdue", "inactive")
SORTS: Mapping[str, str] = MappingProxyType(
    {
        "state": "worst first",
        "name": "by name",
        "uptime": "by uptime",
        "time": "by response time",
        "checked": "by last check",
    }
)
"""Orders, with their words; the first is the default."""
MAX_TEXT = 256


@dataclass(frozen=True, slots=True)
class Query:
    """A selection of providers; an empty value selects all."""

    q: str = ""
    """Part of name or slug."""
    state: str = ""
    can: str = ""
    """A capability."""
    sort: str = "state"
    desc: str = ""
    """`1` reverses the order."""

    @classmethod
    def of(cls, parameters: Mapping[str, str]) -> Query:
        """Return the selection in the parameters of a request; invalid values count as absent."""
        state, can, sort = (parameters.get(name, "") for name in ("state", "can", "sort"))
        return cls(
            q=parameters.get("q", "").strip()[:MAX_TEXT],
            state=state if state in STATES else "",
            can=can if can in dict(CAPABILITIES) else "",
            sort=sort if sort in SORTS else "state",
            desc="1" if parameters.get("desc") == "1" else "",
        )

    @property
    def is_default(self) -> bool:
        """Whether it selects all providers in the default order."""
        return self == Query()

    @property
    def is_filter(self) -> bool:
        """Whether it selects only some providers."""
        return bool(self.q or self.state or self.can)

    def address(self, **changes: str) -> str:
        """Return the relative URL of this selection with some changes."""
        wanted, default = asdict(replace(self, **changes)), asdict(Query())
        parameters = {name: value for name, value in wanted.items() if value != default[name]}
        return f"./?{urlencode(parameters, errors='replace')}" if parameters else "./"

    def sorted_by(self, sort: str) -> str:
        """Return the URL of the same selection in another order, reversed if it has that order."""
        return self.address(sort=sort, desc="1" if sort == self.sort and not self.desc else "")


_KEYS: Mapping[str, Callable[[Provider, History], Any]] = MappingProxyType(
    {
        "name": lambda provider, _: (provider.name or provider.slug).casefold(),
        "uptime": lambda provider, history: history.uptime(provider.slug),
        "time": lambda provider, _: provider.response_time_ms,
        "checked": lambda provider, _: provider.last_health_check,
    }
)
"""What an order compares; the default one compares several values (`rank`)."""


def select(query: Query, snapshot: Snapshot, history: History) -> list[Provider]:
    """Return the selected providers in order; those without a value are last."""
    found = [each for each in snapshot.providers or () if _matches(each, query, snapshot)]
    found.sort(key=lambda each: rank(each, snapshot))
    if query.sort not in _KEYS:
        return found[::-1] if query.desc else found
    key = _KEYS[query.sort]
    values = {each.slug: key(each, history) for each in found}
    known = [each for each in found if values[each.slug] is not None]
    known.sort(key=lambda each: values[each.slug], reverse=bool(query.desc))
    return known + [each for each in found if values[each.slug] is None]


def _matches(provider: Provider, query: Query, snapshot: Snapshot) -> bool:
    text = query.q.casefold()
    if text not in provider.name.casefold() and text not in provider.slug.casefold():
        return False
    if query.can and not getattr(provider, dict(CAPABILITIES)[query.can]):
        return False
    return not query.state or query.state in _states(provider, snapshot)


def _states(provider: Provider, snapshot: Snapshot) -> Iterable[str]:
    if provider.is_active is False:
        return ("inactive",)
    return (provider.health.label, "overdue" if snapshot.is_overdue(provider) else "")
