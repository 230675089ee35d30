"""The OpenAPI description of the routes for programs (`make generate`)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import msgspec

from exporter.status import documents

DOCUMENTS = {
    "/api/v1/status": (documents.StatusDocument, "The overall state"),
    "/api/v1/providers": (documents.ProvidersDocument, "All listed providers"),
    "/api/v1/providers/{slug}": (documents.ProviderDetailDocument, "A provider with its history"),
    "/api/v1/changes": (documents.ChangesDocument, "The last changes"),
}
OTHERS = {
    "/badge/{slug}/health.svg": ("image/svg+xml", "A badge of a provider's health"),
    "/badge/{slug}/uptime.svg": ("image/svg+xml", "A badge of a provider's uptime in the history"),
    "/changes.atom": ("application/atom+xml", "The last changes as an Atom feed"),
}
DESCRIPTION = (
    "JSON of the current snapshot; times are in UTC as by RFC 3339. Any release may add fields. A field is "
    "removed, or gets another meaning, only with another version of the API. Access is as for /metrics."
)
SLUG = {"name": "slug", "in": "path", "required": True, "schema": {"type": "string"}}
ERROR = {
    "description": "No such provider is listed",
    "content": {
        "application/json": {"schema": {"type": "object", "properties": {"error": {"type": "string"}}}}
    },
}


def document() -> str:
    """Return the description as JSON."""
    types = [struct for struct, _ in DOCUMENTS.values()]
    schemas, components = msgspec.json.schema_components(types, ref_template="#/components/schemas/{name}")
    paths = {
        path: _path(path, "application/json", summary, schema)
        for (path, (_, summary)), schema in zip(DOCUMENTS.items(), schemas, strict=True)
    }
    paths |= {
        path: _path(path, media, summary, {"type": "string"}) for path, (media, summary) in OTHERS.items()
    }
    described = {
        "openapi": "3.1.0",
        "info": {"title": "provider-metrics-exporter", "version": "1", "description": DESCRIPTION},
        "paths": paths,
        "components": {"schemas": components},
    }
    return json.dumps(described, indent=2) + "\n"


def _path(path: str, media: str, summary: str, schema: Mapping[str, Any]) -> Mapping[str, Any]:
    responses: dict[str, Any] = {
        "200": {"description": summary, "content": {media: {"schema": schema}}},
        "304": {"description": "The client has it (If-None-Match)"},
    }
    operation: dict[str, Any] = {"summary": summary, "responses": responses}
    if "{slug}" in path:
        responses["404"] = ERROR
        operation["parameters"] = [SLUG]
    return {"get": operation}
