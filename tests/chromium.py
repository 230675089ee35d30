"""Debian's Chromium, without a window."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Browser, sync_playwright


@contextmanager
def chromium() -> Iterator[Browser]:
    """Start the browser.

    Raises:
        FileNotFoundError: When there is none.
    """
    program = shutil.which("chromium")
    if program is None:
        raise FileNotFoundError(
            "there is no command chromium: on Debian, apt-get install chromium fonts-dejavu-core"
        )
    # Chromium's sandbox needs permissions that root in a container does not have.
    own = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=own)
        try:
            yield browser
        finally:
            browser.close()
