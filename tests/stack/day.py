"""What a day looks like: the alerts of the demo's day, as a table for docs/alerts.md; `make day` writes it.

The gateway of the demo plays its day in an hour. Everything runs ten times as fast: gateway, polls, scrapes
and every wait of the rules. The minutes in the table are those of the hour.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from exporter.demo.gateway import DemoGateway
from generate.marks import write_between
from tests.process import program
from tests.stack import servers
from tests.stack.build import build_all
from tests.stack.chain import KEY, OWN
from tests.stack.servers import Programs, Server
from tests.stack.substitution import hastened_rules
from tests.stack.timeline import spans
from tests.verify.docs.pages import ROOT

SPEED = 10
HOUR = 3600
STEP = 3
"""Seconds between two evaluations."""
SERVERS = ("alertmanager:9093", "loki:3100", "tempo:3200", "otel-collector:8888", "grafana:3000")
NO_TARGETS = dict.fromkeys(SERVERS, "")
PAGE = ROOT / "docs" / "alerts.md"
BEGIN, END = "<!-- day: written by `make day` -->", "<!-- end of the day -->"


@contextmanager
def running(programs: Programs, folder: Path) -> Iterator[Server]:
    """Run the demo's gateway, an exporter, and Prometheus with the project's rules."""
    rules = hastened_rules(folder / "rules", SPEED)
    ports = servers.Ports()
    with ExitStack() as links:
        gateway = links.enter_context(DemoGateway(KEY, HOUR / SPEED, "127.0.0.1", 0))
        environment = {
            **OWN,
            "SCRAPE_INTERVAL": f"{60 // SPEED}s",
            "HEALTH_CHECK_OVERDUE": f"{HOUR // SPEED}s",
        }
        exporter = links.enter_context(program(GATEWAY_API_URL=gateway.url, **environment))
        changes = {
            "scrape_interval: 60s": f"scrape_interval: {60 // SPEED}s",
            **NO_TARGETS,
        }
        own, address = folder / "prometheus", exporter.address()
        yield links.enter_context(servers.prometheus(programs, own, ports, address, changes, rules=rules))


def fired(prometheus: Server, begun: float) -> list[tuple[int, int, str, str, str]]:
    """Return the alerts that fired: first and last minute, name, severity and provider."""
    query = 'ALERTS{alertstate="firing",alertname!="GatewayzWatchdog"}'
    answered = prometheus.get(
        "/api/v1/query_range", query=query, start=begun, end=begun + HOUR / SPEED, step=STEP
    )
    rows = []
    for series in answered["data"]["result"]:
        labels = series["metric"]
        what = labels["alertname"], labels["severity"], labels.get("provider", "")
        runs = spans((float(when) for when, _ in series["values"]), 2 * STEP)
        rows += [(_minute(first - begun), _minute(last - begun), *what) for first, last in runs]
    return sorted(rows)


def _minute(seconds: float) -> int:
    return round(seconds * SPEED / 60)


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
    write_between(PAGE, BEGIN, END, table(rows))
    print(table(rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
