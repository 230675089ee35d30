"""Waits for what happens in another thread or process."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any


def wait_until(check: Callable[[], Any], seconds: float = 30.0, every: float = 0.05) -> Any:
    """Return the first true result of `check`; fail with its last one when there is none in time.

    A failed request or an absent file or key is no result yet.
    """
    deadline = time.monotonic() + seconds
    while True:
        seen: Any
        try:
            if seen := check():
                return seen
        except (OSError, LookupError) as error:
            seen = error
        assert time.monotonic() < deadline, f"not in {seconds:g} s: {seen!r}"
        time.sleep(every)
