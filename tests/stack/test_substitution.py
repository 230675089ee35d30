"""The tests change nothing of the project's configuration but what they name."""

from __future__ import annotations

import pytest

from tests.stack.substitution import ROOT, hastened, substituted


def test_named_texts_are_replaced() -> None:
    """What is named is replaced everywhere, and all else stays as it is."""
    text = substituted("loki/loki.yaml", {"3100": "1", " /loki": " /data"})

    original = (ROOT / "loki/loki.yaml").read_text(encoding="utf-8")
    assert original.replace("3100", "1").replace(" /loki", " /data") == text


def test_what_is_not_there_cannot_be_replaced() -> None:
    """A replacement that has lost its place in the file is an error, not a silence."""
    with pytest.raises(KeyError, match=r"'nowhere' is not in loki/loki.yaml"):
        substituted("loki/loki.yaml", {"nowhere": "x"})


def test_durations_are_divided() -> None:
    """All durations shrink alike, and names that look like one do not."""
    text = "for: 2m\nexpr: 'x:y:ratio1h offset 1d and last_over_time(z[30s]) > 180'\nwait: 0s"

    assert (
        "for: 4000ms\nexpr: 'x:y:ratio1h offset 2880000ms and last_over_time(z[1000ms]) > 180'\nwait: 0ms"
    ) == hastened(text, 30)
