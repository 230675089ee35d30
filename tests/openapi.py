"""The description of the JSON documents, and what a document has that is not as described."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema

OPENAPI = json.loads((Path(__file__).parents[1] / "docs" / "openapi.json").read_text(encoding="utf-8"))


def errors_of(document: object, path: str) -> list[str]:
    """Return in what a document differs from its description."""
    described = OPENAPI["paths"][path]["get"]["responses"]["200"]["content"]["application/json"]["schema"]
    schema = {**described, "components": OPENAPI["components"]}
    validator = jsonschema.Draft202012Validator(schema)
    return [error.message for error in validator.iter_errors(document)]
