"""What a day looks like: the alerts of the demo's day, as a table for docs/alerts.md; `make day` writes it.

The gateway of the demo plays its day in an hour. Everything runs ten times as fast: gateway, polls, scrapes
and every wait of the rules. The minutes in the table are those of the hour.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from exporter.demo.gateway import DemoGateway
from tests.process import program
from tests.stack import servers
from tests.stack.build import build_all
from tests.stack.servers import Server
from tests.stack.substitution import hastened, substituted
from tests.verify.docs.pages import ROOT

SPEED = 10
HOUR = 3600
KEY = "key-of-the-day"
STEP = 3
"""Seconds between two evaluations."""
SERVERS = ("alertmanager:9093", "loki:3100", "tempo:3200", "otel-collector:8888", "grafana:3000")
NO_TARGETS = dict.fromkeys(SERVERS, "")
PAGE = ROOT / "docs" / "alerts.md"
BEGIN, END = "<!-- day: written by `make day` -->", "<!-- end of the day -->"


@contextmanager
def running(programs: Mapping[str, Path], folder: Path) -> Iterator[Server]:
    """Run the demo's gateway, an exporter, and Prometheus with the project's rules."""
    rules = folder / "rules"
    rules.mkdir()
    for name, changes in {"alerts.yml": {"> 1200": f"> {1200 // SPEED}"}, "recording.yml": {}}.items():
        text = hastened(substituted(f"prometheus/rules/{name}", changes), SPEED)
        (rules / name).write_text(text, encoding="utf-8")
    ports = servers.Ports()
    with ExitStack() as links:
        gateway = links.enter_context(DemoGateway(KEY, HOUR / SPEED, "127.0.0.1", 0))
        exporter = links.enter_context(
            program(
                GATEWAY_API_URL=gateway.url,
                ADMIN_KEY=KEY,
                METRICS_HOST="127.0.0.1",
                METRICS_PORT="0",
                SCRAPE_INTERVAL=f"{60 // SPEED}s",
                HEALTH_CHECK_OVERDUE=f"{HOUR // SPEED}s",
            )
        )
        changes = {
            "scrape_interval: 60s": f"scrape_interval: {60 // SPEED}s",
            "evaluation_interval: 30s": f"evaluation_interval: {STEP}s",
            "  - rules/": f"  - {rules}/",
            **NO_TARGETS,
        }
        address = exporter.url().removeprefix("http://")
        yield links.enter_context(
            servers.prometheus(programs, folder / "prometheus", ports, address, changes)
        )


def fired(prometheus: Server, begun: float) -> list[tuple[int, int, str, str, str]]:
    """Return the alerts that fired: first and last minute, name, severity and provider."""
    query = 'ALERTS{alertstate="firing",alertname!="GatewayzWatchdog"}'
    answered = prometheus.get(
        "/api/v1/query_range", query=query, start=begun, end=begun + HOUR / SPEED, step=STEP
    )
    rows = []
    for series in answered["data"]["result"]:
        labels = series["metric"]
        times = [float(when) for when, _ in series["values"]]
        spans = _spans(times)
        rows += [
            (
                _minute(first - begun),
                _minute(last - begun),
                labels["alertname"],
                labels["severity"],
                labels.get("provider", ""),
            )
            for first, last in spans
        ]
    return sorted(rows)


def _minute(seconds: float) -> int:
    return round(seconds * SPEED / 60)


def _spans(times: list[float]) -> list[tuple[float, float]]:
    spans: list[tuple[float, float]] = []
    for when in times:
        if spans and when - spans[-1][1] <= 2 * STEP:
            spans[-1] = (spans[-1][0], when)
        else:
            spans.append((when, when))
    return spans


def table(rows: list[tuple[int, int, str, str, str]]) -> str:
    """Return the rows as Markdown."""
    head = ["| Minutes | Alert | Severity | Provider |", "|---|---|---|---|"]
    return "\n".join(
        head + [f"| {a} to {b} | {name} | {severity} | {who} |" for a, b, name, severity, who in rows]
    )


def main() -> int:
    """Play the day and write the table."""
    programs = build_all(lambda line: print(line, flush=True))
    with TemporaryDirectory() as folder, running(programs, Path(folder)) as prometheus:
        begun = time.time()
        time.sleep(HOUR / SPEED)
        rows = fired(prometheus, begun)
    text = PAGE.read_text(encoding="utf-8")
    before, after = text.split(BEGIN)[0], text.split(END)[1]
    PAGE.write_text(f"{before}{BEGIN}\n\n{table(rows)}\n\n{END}{after}", encoding="utf-8")
    print(table(rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
