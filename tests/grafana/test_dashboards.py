"""The dashboards are what the generator makes, complete in every panel, and name only what exists."""

from __future__ import annotations

import json
import re
from collections import Counter
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models.dashboard import Dashboard

from exporter.metrics.instruments import INSTRUMENTS
from grafana.generator.boards import BOARDS, render
from tests.grafana.dashboards import (
    ALL_QUERIES,
    FILES,
    FOLDER,
    Query,
    Tree,
    panels,
    parsed,
    queries,
    texts,
    used_variables,
    variables,
)
from tests.promql import NAME, RECORDED, labels, published

HOME = "gatewayz-provider-management.json"
SEEDS = {
    "Provider Statistics Overview": ["Total", "Active", "Inactive", "Healthy", "Data Age", "Exporter"],
    "Provider Health Status": [
        "Providers by Health Status",
        "Providers by Active Status",
        "Health of Each Provider",
    ],
    "Provider Performance Metrics": ["Average Response Time by Provider"],
    "Provider Capabilities": ["Streaming", "Function Calling", "Vision", "Image Generation"],
    "Provider Details Table": ["All Providers"],
    "Correlation": ["Latest Polls", "Failed Fetches by Outcome", "Recent Polls", "Trace of a Poll"],
}
"""Rows and panels of the home page, in order."""
COLUMNS = [
    "Name",
    "Provider",
    "Health",
    "Active",
    "Response Time",
    "Last Health Check",
    "Health Check",
    "Streaming",
    "Function Calling",
    "Vision",
    "Image Generation",
    "Uptime 24 h",
]
SOURCES = {"prometheus": "${datasource}", "loki": "${loki}", "tempo": "${tempo}"}
FOREIGN_METRICS = {
    "ALERTS",
    "up",
    "scrape_duration_seconds",
    "scrape_samples_scraped",
    "process_cpu_seconds_total",
    "process_max_fds",
    "process_open_fds",
    "process_resident_memory_bytes",
    "process_start_time_seconds",
    "otelcol_exporter_enqueue_failed_log_records",
    "otelcol_exporter_enqueue_failed_spans",
    "otelcol_exporter_queue_size",
    "otelcol_exporter_send_failed_log_records",
    "otelcol_exporter_send_failed_spans",
    "otelcol_exporter_sent_log_records",
    "otelcol_exporter_sent_spans",
}
"""Metrics of Prometheus, of Python's client and of the collector."""
FOREIGN_LABELS = {"job", "le", "count", "exporter", "alertname", "alertstate", "category", "severity"}
"""Labels that Prometheus, rules, alerts and the collector bring."""

TRACEQL = {
    '{resource.service.name="provider-metrics-exporter" && name="poll"}',
    '{resource.service.name="provider-metrics-exporter" && name=~"fetch .*"'
    ' && span.error.type="${__field.labels.outcome}"}',
    "${trace}",
}
"""Each is asked of a real Tempo by `make stack`, where the machine has one."""

every_file = pytest.mark.parametrize("file", FILES)
every_panel = pytest.mark.parametrize(
    ("file", "panel"),
    [(file, panel) for file in FILES for panel in panels(file)],
    ids=lambda value: value if isinstance(value, str) else value["title"],
)
promql = [query for query in ALL_QUERIES if query.source == "prometheus"]
every_promql = pytest.mark.parametrize("query", promql, ids=lambda query: query.where)


def links(tree: Any) -> list[str]:
    """Return the addresses of all links in a dashboard."""
    found = [text for text in texts(tree) if text.startswith(("/d/", "/explore"))]
    assert found
    return found


@pytest.mark.parametrize("file", BOARDS)
def test_committed(file: str) -> None:
    """The committed file is what the generator makes."""
    assert render(BOARDS[file]()) == (FOLDER / file).read_text(encoding="utf-8")


def test_no_other_file() -> None:
    """There is no dashboard that the generator does not make."""
    assert sorted(BOARDS) == FILES


@every_file
def test_schema(file: str) -> None:
    """Read as Grafana's schema and written again it is the same: it has no field unknown to Grafana."""
    register_default_plugins()
    tree = parsed(file)

    assert tree == json.loads(render(Dashboard.from_json(dict(tree))))


@every_file
def test_head(file: str) -> None:
    """Its uid is the file's name; it refreshes each half minute, shows six hours, and cannot be changed."""
    tree = parsed(file)

    assert (file, "30s", {"from": "now-6h", "to": "now"}, False, ["gatewayz"]) == (
        f"{tree['uid']}.json",
        tree["refresh"],
        tree["time"],
        tree["editable"],
        tree["tags"],
    )
    assert tree["schemaVersion"] >= 42
    assert tree["description"].endswith(".")
    assert "id" not in tree


def test_titles_of_dashboards() -> None:
    """Titles are unique, and the first is that of the contract."""
    titles = [parsed(file)["title"] for file in FILES]

    assert "GatewayZ Provider Management" == parsed(HOME)["title"]
    assert sorted(set(titles)) == sorted(titles)


def test_rows_of_the_home_page() -> None:
    """The home page has the rows and panels that it should have, in their order."""
    rows: dict[str, list[str]] = {}
    for panel in parsed(HOME)["panels"]:
        if panel["type"] == "row":
            rows[panel["title"]] = []
        else:
            rows[list(rows)[-1]].append(panel["title"])

    assert SEEDS == rows
    assert list(SEEDS) == list(rows)


def test_columns_of_the_table() -> None:
    """The table has its columns in order, each filled by a query of its own, and links to the provider."""
    (table,) = [panel for panel in panels(HOME) if panel["title"] == "All Providers"]
    (organized,) = [row for row in table["transformations"] if row["id"] == "organize"]
    heads, order = organized["options"]["renameByName"], organized["options"]["indexByName"]

    assert COLUMNS == [heads[name] for name in sorted(order, key=order.__getitem__)]
    filled = {f"Value #{target['refId']}" for target in table["targets"]}
    assert filled - {"Value #A"} == {name for name in heads if name.startswith("Value")}
    overrides = {row["matcher"]["options"]: row["properties"] for row in table["fieldConfig"]["overrides"]}
    for name in ("Name", "Provider"):
        (link,) = overrides[name][0]["value"]
        assert "/d/gatewayz-provider?" in link["url"]
        assert "${__data.fields.Provider:percentencode}" in link["url"]


@every_file
def test_panels_are_unique(file: str) -> None:
    """No two panels of a dashboard share title or number."""
    titles = Counter(panel["title"] for panel in panels(file))
    numbers = Counter(panel["id"] for panel in parsed(file)["panels"])

    assert {1} == set(titles.values()) | set(numbers.values())


@every_file
def test_places(file: str) -> None:
    """Every panel is within the width, and none covers another."""
    taken: Counter[tuple[int, int]] = Counter()
    for panel in parsed(file)["panels"]:
        at = panel["gridPos"]
        taken.update(
            (x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])
        )

    assert {1} == set(taken.values())
    assert set(range(24)) == {x for x, _ in taken}


@every_panel
def test_words(file: str, panel: Tree) -> None:
    """A panel has a title, a unit, a description of some sentences, and words for when there is nothing."""
    defaults = panel["fieldConfig"]["defaults"]

    assert panel["title"]
    assert defaults["unit"]
    assert re.fullmatch(r"[A-Z][^\n]{30,}\.", panel["description"])
    assert re.fullmatch(r"[A-Z][^\n]+[^.]", defaults["noValue"])
    assert panel["targets"]


@every_file
def test_sources_are_variables(file: str) -> None:
    """Every data source is chosen by the variable of its type, which the dashboard has."""

    def sources(tree: Any) -> list[Tree]:
        if isinstance(tree, list):
            return [found for value in tree for found in sources(value)]
        if not isinstance(tree, dict):
            return []
        own = [tree["datasource"]] if "datasource" in tree else []
        return own + [found for value in tree.values() for found in sources(value)]

    found = sources(parsed(file))

    assert found
    assert set(SOURCES.items()) >= {(row["type"], row["uid"]) for row in found}
    chosen = {
        f"${{{name}}}": row["query"] for name, row in variables(file).items() if row["type"] == "datasource"
    }
    assert {uid: kind for kind, uid in SOURCES.items()} == chosen


@every_file
def test_variables(file: str) -> None:
    """Every variable that is used is there, and every one is used but sources that links hand on."""
    own = set(variables(file))
    used = {
        name for text in texts(parsed(file)) for name in used_variables(text) if not name.startswith("__")
    }

    assert set() == used - own
    assert {"tempo"} >= own - used


def test_kinds_of_variables() -> None:
    """The gateway is chosen by its job, and on the home page several providers or all."""
    provider = variables(HOME)["provider"]

    assert (True, True, ".+") == (provider["multi"], provider["includeAll"], provider["allValue"])
    assert [("query", 2)] * len(FILES) == [
        (variables(file)["job"]["type"], variables(file)["job"]["refresh"]) for file in FILES
    ]
    assert not variables("gatewayz-provider.json")["provider"].get("multi")


@every_promql
def test_names_exist(query: Query) -> None:
    """No query names a metric or a label that nobody publishes or records."""
    own_labels = {label for instrument in INSTRUMENTS for label in instrument.labels}

    assert set() == set(NAME.findall(query.text)) - published() - RECORDED - FOREIGN_METRICS
    assert set() == labels(query.text) - own_labels - FOREIGN_LABELS


def test_nothing_foreign_too_many() -> None:
    """The lists of foreign metrics and labels have only what some query uses."""
    assert set() == FOREIGN_METRICS - {name for query in promql for name in NAME.findall(query.text)}
    assert set() == FOREIGN_LABELS - {name for query in promql for name in labels(query.text)}


@every_promql
def test_every_metric_is_of_the_chosen_job(query: Query) -> None:
    """Every metric of the exporter is asked of the chosen job, and of no instance."""
    assert "instance=" not in query.text.replace(" ", "")
    selectors = re.findall(r"\b(?:gatewayz|process|scrape)_[\w:]+(\{[^}]*\})?", query.text)
    if not query.where.endswith("variable job"):
        assert [] == [selector for selector in selectors if 'job=~"$job"' not in selector]


@every_promql
def test_rates(query: Query) -> None:
    """Every rate is over the interval that Grafana makes of the range and the scrapes."""
    windows = re.findall(r"\b(?:rate|irate|increase|delta)\(\w+(?:\{[^}]*\})?\[([^\]]+)\]", query.text)

    assert {"$__rate_interval"} >= set(windows)
    assert len(windows) == len(re.findall(r"\b(?:rate|irate|increase|delta)\(", query.text))


@every_promql
def test_replicas(query: Query) -> None:
    """A gauge of the providers is never added up over replicas: `max` over them comes first."""
    summed = re.findall(
        r"\b(?:sum|count|avg)(?: by \([^)]*\))? \(?(?:gatewayz_provider|gatewayz_up)", query.text
    )

    assert [] == summed


@every_file
def test_links(file: str) -> None:
    """A link goes to a dashboard that is there, or to a query in Explore that can be read."""
    known = {parsed(name)["uid"]: name for name in FILES}
    for link in links(parsed(file)):
        parts = urlsplit(link)
        if parts.path == "/explore":
            (panes,) = parse_qs(parts.query)["panes"]
            (pane,) = json.loads(panes).values()
            assert ("${tempo}", "${__from}") == (pane["datasource"], pane["range"]["from"])
            assert ["traceql"] == [query["queryType"] for query in pane["queries"]]
        else:
            target = known[parts.path.removeprefix("/d/")]
            assert set(re.findall(r"var-(\w+)=", parts.query)) <= set(variables(target))


@every_file
def test_links_between_dashboards(file: str) -> None:
    """The head links to both other dashboards with sources, job and times, but without the providers."""
    head = parsed(file)["links"]

    assert {parsed(name)["uid"] for name in FILES if name != file} == {
        urlsplit(link["url"]).path.removeprefix("/d/") for link in head
    }
    for link in head:
        assert ["datasource", "loki", "tempo", "job"] == re.findall(r"\$\{(\w+):queryparam\}", link["url"])
        assert (False, True) == (link["includeVars"], link["keepTime"])


@every_file
def test_nothing_is_hidden_in_a_menu(file: str) -> None:
    """Links and marks are where people see them."""
    tree = parsed(file)

    assert [] == [row for row in (*tree["links"], *tree["annotations"]["list"]) if "placement" in row]


@every_panel
def test_steps_of_rates(file: str, panel: Tree) -> None:
    """A panel with a rate has steps of ten minutes: two scrapes even of a job with five between them."""
    rates = ["$__rate_interval" in row.get("expr", "") for row in panel["targets"]]

    assert ("10m" if any(rates) else None) == panel.get("interval")


@every_file
def test_marked_alerts(file: str) -> None:
    """Only warnings and critical alerts are marked: the Watchdog, which always fires, would shade a graph."""
    marks = parsed(file)["annotations"]["list"]

    assert ['severity=~"warning|critical"'] == [
        matcher for mark in marks for matcher in re.findall(r'severity=~"[^"]*"', mark.get("expr", ""))
    ]


@pytest.mark.parametrize("file", [HOME, "gatewayz-exporter.json"])
def test_age_is_compared_with_the_setting(file: str) -> None:
    """The age has its colour as a share of STALE_AFTER: orange after two thirds of it, red where data go."""
    (panel,) = [panel for panel in panels(file) if panel["title"] == "Data Age"]
    age, share = panel["targets"]
    (override,) = panel["fieldConfig"]["overrides"]
    (colors,) = [row["value"] for row in override["properties"] if row["id"] == "thresholds"]

    assert "gatewayz_exporter_stale_after_seconds" in share["expr"]
    assert ("Age", share["legendFormat"]) == (age["legendFormat"], override["matcher"]["options"])
    assert [("green", None), ("orange", 0.66), ("red", 1)] == [
        (step["color"], step["value"]) for step in colors["steps"]
    ]
    assert 1 == len(panel["fieldConfig"]["defaults"]["thresholds"]["steps"])


def test_overdue_is_compared_with_the_setting() -> None:
    """Whether a health check is overdue is judged by the time of the list, as by exporter and rules."""
    (query,) = [query.text for query in promql if "2 * " in query.text and "last_health_check" in query.text]

    assert "> bool scalar(max(gatewayz_exporter_health_check_overdue_seconds{" in query
    assert 'gatewayz_exporter_last_success_timestamp_seconds{job=~"$job", endpoint="providers"}' in query
    assert "time()" not in query


def test_traceql() -> None:
    """There is no query for traces but those that were tried."""
    asked = {query.text for query in ALL_QUERIES if query.source == "tempo"}
    linked = {
        query["query"]
        for file in FILES
        for link in links(parsed(file))
        if link.startswith("/explore")
        for pane in json.loads(parse_qs(urlsplit(link).query)["panes"][0]).values()
        for query in pane["queries"]
    }

    assert TRACEQL == asked | linked


def test_log_records_have_their_stream() -> None:
    """Every LogQL query selects the exporter's own stream."""
    logql = [query.text for query in ALL_QUERIES if query.source == "loki"]

    assert len(logql) >= 4
    assert [] == [text for text in logql if not text.startswith('{service="provider-metrics-exporter"}')]


def test_every_file_has_queries() -> None:
    """What reads the files finds the queries in them."""
    assert dict.fromkeys(FILES, True) == {file: len(list(queries(file))) > 15 for file in FILES}
