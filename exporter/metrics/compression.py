"""Gzip of chunks that are compressed on their own, so that an unchanged chunk is compressed once.

After a full flush, a deflate stream refers to nothing before it, so such pieces can be joined (RFC 1951 and
zlib's manual); header and trailer are those of RFC 1952.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable

LEVEL = 6
HEADER = b"\x1f\x8b\x08" + bytes(6) + b"\xff"
"""Deflate, without flags, time and system."""
LAST_BLOCK = b"\x03\x00"
"""An empty one."""
_TRAILER = struct.Struct("<LL")
_SIZES = 1 << 32
"""The trailer has the size modulo this."""


def deflate(chunk: bytes) -> bytes:
    """Compress a chunk for `gzip`."""
    compressor = zlib.compressobj(LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS)
    return compressor.compress(chunk) + compressor.flush(zlib.Z_FULL_FLUSH)


def gzip(body: bytes, chunks: Iterable[bytes]) -> bytes:
    """Return the gzip file of `body` from its compressed chunks, in order."""
    trailer = _TRAILER.pack(zlib.crc32(body), len(body) % _SIZES)
    return b"".join((HEADER, *chunks, LAST_BLOCK, trailer))
