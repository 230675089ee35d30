"""What a gateway answers about a fleet of active providers."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime

from exporter.model.endpoints import Endpoint


def bodies(health: Mapping[str, str], checked: datetime) -> Mapping[Endpoint, bytes]:
    """Return the body of each endpoint.

    Args:
        health: Of each provider, by its slug.
        checked: When the health of all was reported.
    """
    fixed = {"is_active": True, "average_response_time_ms": 500, "last_health_check_at": checked.isoformat()}
    rows = [
        {"id": number, "slug": slug, "name": slug.title(), "health_status": state, **fixed}
        for number, (slug, state) in enumerate(health.items())
    ]
    states = list(health.values())
    counts = {state: states.count(state) for state in ("healthy", "degraded", "down", "unknown")}
    stats = {"total": len(rows), "active": len(rows), "inactive": 0, **counts}
    return {Endpoint.PROVIDERS: json.dumps(rows).encode(), Endpoint.STATS: json.dumps(stats).encode()}
