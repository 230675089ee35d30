"""The changes as an Atom feed (RFC 4287)."""

from __future__ import annotations

from uuid import NAMESPACE_URL, uuid5

from exporter.model.history import Change, ChangeKind
from exporter.status.badges import xml_text
from exporter.status.state import State
from exporter.status.texts import iso

TITLE = "GatewayZ providers: changes"


def of_changes(state: State) -> bytes:
    """Return the feed of the last changes, newest first."""
    changes = state.history.changes()
    updated = changes[0].date if changes else state.history.since
    return "\n".join(
        (
            '<?xml version="1.0" encoding="utf-8"?>',
            '<feed xmlns="http://www.w3.org/2005/Atom">',
            f"<title>{TITLE}</title>",
            f"<id>{uuid5(NAMESPACE_URL, TITLE).urn}</id>",
            f"<updated>{iso(updated)}</updated>",
            "<author><name>provider-metrics-exporter</name></author>",
            *map(_entry, changes),
            "</feed>\n",
        )
    ).encode()


def sentence(change: Change) -> str:
    """Return what changed, in one sentence without a full stop."""
    match change.kind:
        case ChangeKind.HEALTH:
            return f"{change.subject} is {change.after}, it was {change.before}"
        case ChangeKind.APPEARED:
            return f"{change.subject} appeared in the gateway's list"
        case ChangeKind.VANISHED:
            return f"{change.subject} vanished from the gateway's list"
        case ChangeKind.FAILING:
            return f"{change.subject} of the gateway fails: {change.after.replace('_', ' ')}"
        case ChangeKind.RECOVERED:
            return f"{change.subject} of the gateway works again"


def _entry(change: Change) -> str:
    title = xml_text(sentence(change))
    identity = uuid5(NAMESPACE_URL, f"{change.date} {change.kind} {change.subject} {change.after}").urn
    return (
        f"<entry><title>{title}</title><id>{identity}</id><updated>{iso(change.date)}</updated>"
        f"<content>{title}.</content></entry>"
    )
