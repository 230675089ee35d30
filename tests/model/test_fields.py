"""Tests of the table of fields."""

from __future__ import annotations

from itertools import permutations

from exporter.model.fields import FIELDS, PUBLISHED_ONLY
from exporter.model.provider import Provider


def test_every_attribute_has_a_field() -> None:
    """Each attribute of `Provider` comes from one field; `published` has the fields without one."""
    attributes = [field.attribute for field in FIELDS if field.attribute]

    assert sorted(Provider.__struct_fields__) == sorted([*attributes, "published"])
    assert len(FIELDS) == len(attributes) + len(PUBLISHED_ONLY)


def test_paths() -> None:
    """No two fields have the same path, and none is a part of another."""
    paths = [field.path for field in FIELDS]

    assert len(paths) == len(set(paths))
    assert [] == [pair for pair in permutations(paths, 2) if pair[0].startswith(f"{pair[1]}.")]


def test_field_is_used() -> None:
    """Each field is read by other code or published as a gauge."""
    assert [] == [field.path for field in FIELDS if not field.attribute and field.gauge is None]
