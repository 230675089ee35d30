"""Takes the screenshot of the status page from the running demo (`make pictures`).

Needs the command `chromium` (Debian: packages chromium and fonts-dejavu-core). Takes about half a minute,
until the demo reaches an hour with a failure.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import requests
from prometheus_client.parser import text_string_to_metric_families

from exporter.model.provider import HealthStatus
from tests.process import Program, program
from tests.verify.docs.pages import ROOT

PICTURE = ROOT / "docs" / "pictures" / "status-page.png"
WIDTH, HEIGHT = 1240, 900
"""The full width of the page, and the height down to some healthy providers."""
MOST_BYTES = 200_000
DAY_SECONDS = 120
MOMENT = {"groq": HealthStatus.DOWN, "together": HealthStatus.DEGRADED}
"""Health on the page, from 06:00 to 07:00 of the demo's day."""
LONGEST_WAIT = 2.0 * DAY_SECONDS


def main() -> None:
    """Take the screenshot, or exit with a message."""
    browser = shutil.which("chromium")
    if browser is None:
        sys.exit("There is no command chromium: install it, on Debian with: apt-get install chromium")
    with program("demo", "--day", str(DAY_SECONDS), METRICS_PORT="0") as demo:
        url = wait_for_moment(demo)
        take_picture(browser, url, PICTURE)
    size = PICTURE.stat().st_size
    print(f"{PICTURE.relative_to(ROOT)}: {size} bytes")
    if size > MOST_BYTES:
        sys.exit(f"That is more than {MOST_BYTES} bytes: make the picture smaller.")


def wait_for_moment(demo: Program) -> str:
    """Wait for the health in `MOMENT`; return the URL of the demo."""
    url = demo.url()
    deadline = time.monotonic() + LONGEST_WAIT
    while not MOMENT.items() <= health(url).items():
        if time.monotonic() > deadline:
            sys.exit(f"The demo has not shown {MOMENT} within {LONGEST_WAIT:g} s.")
        time.sleep(0.5)
    return url


def health(url: str) -> dict[str, float]:
    """Return the health of each provider from /metrics."""
    text = requests.get(f"{url}/metrics", timeout=5).text
    return {
        sample.labels["provider"]: sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == "gatewayz_provider_health_status"
    }


def take_picture(browser: str, url: str, picture: Path) -> None:
    """Save a screenshot of the page in its light colour scheme.

    Raises:
        subprocess.CalledProcessError: When the browser fails.
    """
    picture.parent.mkdir(exist_ok=True)
    # Chromium's sandbox needs permissions that root in a container does not have.
    own = ["--no-sandbox"] if os.geteuid() == 0 else []
    with tempfile.TemporaryDirectory() as profile:
        command = [
            browser,
            "--headless",
            *own,
            f"--user-data-dir={profile}",
            f"--window-size={WIDTH},{HEIGHT}",
            f"--screenshot={picture}",
            "--hide-scrollbars",
            "--force-device-scale-factor=1",
            "--blink-settings=preferredColorScheme=1",
            f"{url}/",
        ]
        subprocess.run(command, check=True, capture_output=True, timeout=60)


if __name__ == "__main__":
    main()
