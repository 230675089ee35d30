"""Collects the problems of settings and files, so that a person sees all of them at once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from exporter.errors import SettingsError


class Problems(list[str]):
    """Problems found so far, one sentence each; a reader adds a problem and continues with a default."""

    @contextmanager
    def collect(self) -> Iterator[None]:
        """Add the problems of a `SettingsError` instead of raising it."""
        try:
            yield
        except SettingsError as error:
            self.extend(error.problems)

    def raise_any(self) -> None:
        """Raise a `SettingsError` with every problem once, in order, if there is one."""
        if self:
            raise SettingsError(tuple(dict.fromkeys(self)))
