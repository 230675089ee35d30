"""A host name with several addresses on the loopback: some answer, some refuse, some are silent."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from typing import Any, Self

import pytest

HOST = "gateway.example"


class Network:
    """One port on several addresses; a name that resolves to them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Let names be resolved by `resolve`."""
        self._resolve = socket.getaddrinfo
        self._opened: list[socket.socket] = []
        self._addresses: Sequence[str] = ()
        self.port = 0
        monkeypatch.setattr(socket, "getaddrinfo", self._look_up)

    def __enter__(self) -> Self:
        """Begin without an address."""
        return self

    def __exit__(self, *_error: object) -> None:
        """Close everything."""
        for sock in self._opened:
            sock.close()

    def name(self, *addresses: str) -> None:
        """Let the host have these addresses, in this order."""
        self._addresses = addresses

    def accepting(self, address: str) -> socket.socket:
        """Return a listener at the address."""
        return self._listen(address, backlog=16)

    def silent(self, address: str) -> str:
        """Let the address answer no handshake: the queue of its listener is full."""
        listener = self._listen(address, backlog=0)
        filler = socket.socket(listener.family)
        self._opened.append(filler)
        filler.connect(listener.getsockname())
        return address

    def recover(self, address: str) -> None:
        """Let a silent address take its queue, and with it the next handshake."""
        listener = next(sock for sock in self._opened if sock.getsockname() == (address, self.port))
        self._opened.append(listener.accept()[0])

    def _listen(self, address: str, backlog: int) -> socket.socket:
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        listener = socket.create_server((address, self.port), family=family, backlog=backlog)
        self._opened.append(listener)
        self.port = listener.getsockname()[1]
        return listener

    def _look_up(self, host: Any, port: Any, *args: Any, **options: Any) -> list[Any]:
        if host != HOST:
            return self._resolve(host, port, *args, **options)
        return [row for one in self._addresses for row in self._resolve(one, port, *args, **options)]
