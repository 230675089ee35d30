"""Tests of `exporter.metrics.compression`."""

from __future__ import annotations

import gzip
import zlib

import pytest

from exporter.metrics import compression

PIECES = [b"", b"a", b"gatewayz_up 1.0\n" * 10_000, bytes(range(256)), b""]


@pytest.mark.parametrize("chunks", [[], *([piece] for piece in PIECES), PIECES, PIECES[::-1]])
def test_gzip(chunks: list[bytes]) -> None:
    """The chunks together are one gzip member, whatever they are."""
    body = b"".join(chunks)
    made = compression.gzip(body, map(compression.deflate, chunks))
    strict = zlib.decompressobj(zlib.MAX_WBITS | 16)

    assert body == gzip.decompress(made) == strict.decompress(made)
    assert (True, b"") == (strict.eof, strict.unused_data)


def test_reproducible() -> None:
    """Equal bodies have equal files: the header has neither time nor system."""
    made = [compression.gzip(b"a", [compression.deflate(b"a")]) for _ in range(2)]

    assert made[0] == made[1]
    assert bytes(6) + b"\xff" == made[0][3:10]


def test_size() -> None:
    """Chunks cost a few bytes each."""
    body = b"".join(b"gatewayz_provider_is_active{provider=%d} 1.0\n" % number for number in range(10_000))
    halves = (body[: len(body) // 2], body[len(body) // 2 :])

    assert len(compression.gzip(body, map(compression.deflate, halves))) < 1.05 * len(gzip.compress(body, 6))
