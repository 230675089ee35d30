"""The picture of the status page, made from the running demo; `make pictures` does it.

It needs the command `chromium` (Debian: the package of that name, and fonts-dejavu-core for letters), and
takes about half a minute: the demo has to come to an hour in which something is wrong.
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
"""The page at its full width, down to some providers that are well."""
MOST_BYTES = 200_000
DAY_SECONDS = 120
MOMENT = {"groq": HealthStatus.DOWN, "together": HealthStatus.DEGRADED}
"""What the page shows, from 06:00 to 07:00 of the demo's day."""
LONGEST_WAIT = 2.0 * DAY_SECONDS


def main() -> None:
    """Make the picture, or say what is missing."""
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
    """Return the demo's address once it shows what is to be seen."""
    url = demo.url()
    deadline = time.monotonic() + LONGEST_WAIT
    while not MOMENT.items() <= health(url).items():
        if time.monotonic() > deadline:
            sys.exit(f"The demo has not shown {MOMENT} within {LONGEST_WAIT:g} s.")
        time.sleep(0.5)
    return url


def health(url: str) -> dict[str, float]:
    """Return the health of each provider, as the exporter publishes it."""
    text = requests.get(f"{url}/metrics", timeout=5).text
    return {
        sample.labels["provider"]: sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == "gatewayz_provider_health_status"
    }


def take_picture(browser: str, url: str, picture: Path) -> None:
    """Let the browser draw the page into a file, in its light colours.

    Raises:
        subprocess.CalledProcessError: When the browser fails.
    """
    picture.parent.mkdir(exist_ok=True)
    # A sandbox of its own needs rights that root in a container has not.
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
