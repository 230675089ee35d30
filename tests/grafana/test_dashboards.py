"""Tests of the generated dashboards."""

from __future__ import annotations

import json
import re
from collections import Counter
from urllib.parse import parse_qs, urlsplit

import pytest
import yaml
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models.dashboard import Dashboard

from exporter.metrics.instruments import INSTRUMENTS
from grafana.generator.boards import BOARDS, render
from grafana.generator.sources import IMPORT_INPUT
from grafana.generator.tables import COLUMNS
from tests.grafana import dashboards
from tests.grafana.dashboards import ALL_QUERIES, FILES, FOLDER, Query, Tree, panels, parsed, texts, variables
from tests.promql import LOCAL, NAME, RECORDED, labels, published

HOME = "gatewayz-provider-management.json"
ROWS = {
    "Provider Statistics Overview": (
        "Total Providers, Active Providers, Inactive Providers, Healthy Providers, Data Age, Exporter, "
        "Alerts, Providers Not Healthy"
    ),
    "Provider Health Status": (
        "Providers by Health Status, Providers by Active Status, Health of Each Provider"
    ),
    "Provider Performance Metrics": "Average Response Time by Provider, Lowest Uptime",
    "Provider Capabilities": (
        "Streaming Support, Function Calling Support, Vision Support, Image Generation Support"
    ),
    "Provider Details Table": "All Providers",
    "Correlation": "Latest Polls, Failed Fetches by Outcome, Recent Polls, Trace of a Poll",
}
"""Rows and panels of the home dashboard, in order."""
CONTRACT = {
    **dict.fromkeys(
        ("Total Providers", "Active Providers", "Inactive Providers", "Healthy Providers"), "stat"
    ),
    **dict.fromkeys(("Providers by Health Status", "Providers by Active Status"), "piechart"),
    "Average Response Time by Provider": "timeseries",
    **dict.fromkeys(
        ("Streaming Support", "Function Calling Support", "Vision Support", "Image Generation Support"),
        "piechart",
    ),
    "All Providers": "table",
}
"""Titles and types of the panels that the home dashboard must have."""
SOURCES = {"prometheus": "${datasource}", "loki": "${loki}", "tempo": "${tempo}"}
FOREIGN_METRICS = {
    *("ALERTS", "ALERTS_FOR_STATE", "up", "scrape_duration_seconds", "scrape_samples_scraped"),
    "otelcol_exporter_queue_size",
    *("process_cpu_seconds_total", "process_max_fds", "process_open_fds", "process_resident_memory_bytes"),
    "process_start_time_seconds",
    *(
        f"otelcol_exporter_{result}_{signal}"
        for result in ("enqueue_failed", "send_failed", "sent")
        for signal in ("log_records", "spans")
    ),
}
"""Metrics of Prometheus, the Python client and the collector."""
FOREIGN_LABELS = {
    "job",
    "instance",
    "le",
    "count",
    "exporter",
    "alertname",
    "alertstate",
    "category",
    "severity",
}
"""Labels of Prometheus, rules, alerts and the collector."""
every_file = pytest.mark.parametrize("file", FILES)
every_panel = pytest.mark.parametrize(
    ("file", "panel"),
    [(file, panel) for file in FILES for panel in panels(file)],
    ids=lambda value: value if isinstance(value, str) else value["title"],
)
promql = [query for query in ALL_QUERIES if query.source == "prometheus"]
every_promql = pytest.mark.parametrize("query", promql, ids=lambda query: query.where)


def links(file: str) -> list[str]:
    """Return the URLs of all links in a dashboard."""
    found = [text for text in texts(parsed(file)) if text.startswith(("/d/", "/explore"))]
    assert found
    return found


def explored(link: str) -> list[Tree]:
    """Return the queries of a link to Explore."""
    (left,) = parse_qs(urlsplit(link).query)["left"]
    pane = json.loads(left)
    assert ("${tempo}", "${__from}") == (pane["datasource"], pane["range"]["from"])
    queries: list[Tree] = pane["queries"]
    return queries


def test_committed_files() -> None:
    """The files are those that the generator writes."""
    committed = {name: (FOLDER / name).read_text(encoding="utf-8") for name in FILES}

    assert {name: render(board()) for name, board in BOARDS.items()} == committed


@every_file
def test_schema(file: str) -> None:
    """The dashboard is valid by Grafana's schema, without unknown fields."""
    register_default_plugins()
    tree = parsed(file)

    assert tree == json.loads(render(Dashboard.from_json(dict(tree))))


@every_file
def test_head(file: str) -> None:
    """The uid is the name of the file; the dashboard is read-only and has no id of a database."""
    tree = parsed(file)

    assert (file, False) == (f"{tree['uid']}.json", tree["editable"])
    assert tree["description"].endswith(".")
    assert "id" not in tree
    assert len(list(dashboards.queries(file))) > 15


def test_home_dashboard() -> None:
    """The home dashboard has its title, rows and panels in order."""
    rows: dict[str, list[str]] = {}
    for panel in dashboards.placed(parsed(HOME)):
        if panel["type"] == "row":
            rows[panel["title"]] = []
        else:
            rows[list(rows)[-1]].append(panel["title"])

    assert list(ROWS.items()) == [(title, ", ".join(titles)) for title, titles in rows.items()]
    assert "GatewayZ Provider Management" == parsed(HOME)["title"]
    assert len(FILES) == len({parsed(file)["title"] for file in FILES})


def test_panels_of_the_contract() -> None:
    """The home dashboard has twelve panels that others link to by title."""
    types = {panel["title"]: panel["type"] for panel in panels(HOME)}

    assert CONTRACT == {title: types.get(title) for title in CONTRACT}


def test_columns_of_the_table() -> None:
    """Every column has a query, and names link to the provider's dashboard."""
    (table,) = [panel for panel in panels(HOME) if panel["title"] == "All Providers"]
    (organized,) = [row for row in table["transformations"] if row["id"] == "organize"]
    titles, order = organized["options"]["renameByName"], organized["options"]["indexByName"]

    assert ["Name", "Provider", *(column.title for column in COLUMNS)] == [
        titles[name] for name in sorted(order, key=order.__getitem__)
    ]
    filled = {f"Value #{target['refId']}" for target in table["targets"]}
    assert filled - {"Value #A"} == {name for name in titles if name.startswith("Value")}
    overrides = {row["matcher"]["options"]: row["properties"] for row in table["fieldConfig"]["overrides"]}
    for name in ("Name", "Provider"):
        ((link,),) = [row["value"] for row in overrides[name] if row["id"] == "links"]
        assert "/d/gatewayz-provider?" in link["url"]
        assert "${__data.fields.Provider:percentencode}" in link["url"]


@every_file
def test_places_of_panels(file: str) -> None:
    """Titles and ids are unique; panels fill the width and do not overlap."""
    titles = Counter(panel["title"] for panel in panels(file))
    ids = Counter(panel["id"] for panel in dashboards.placed(parsed(file)))
    places = [panel["gridPos"] for panel in dashboards.placed(parsed(file))]
    columns = [(range(at["x"], at["x"] + at["w"]), range(at["y"], at["y"] + at["h"])) for at in places]
    taken = Counter((x, y) for xs, ys in columns for x in xs for y in ys)

    assert {1} == {*titles.values(), *ids.values(), *taken.values()}
    assert set(range(24)) == {x for x, _ in taken}


@every_panel
def test_texts_of_panels(file: str, panel: Tree) -> None:
    """A panel has title and description; with queries also unit, text for no data, and a step for rates."""
    assert panel["title"]
    assert re.fullmatch(r"[A-Z][^\n]{30,}\.", panel["description"])
    if panel["type"] == "alertlist":
        return
    defaults = panel["fieldConfig"]["defaults"]
    rates = ["$__rate_interval" in row.get("expr", "") for row in panel["targets"]]

    assert defaults["unit"]
    assert re.fullmatch(r"[A-Z][^\n]+[^.]", defaults["noValue"])
    assert panel["targets"]
    assert ("10m" if any(rates) else None) == panel.get("interval")


def test_link_to_notifications() -> None:
    """The home dashboard links to the notifications of the provisioned Alertmanager."""
    sources = yaml.safe_load((FOLDER.parent / "provisioning/datasources/datasources.yaml").read_text("utf-8"))
    (name,) = [row["name"] for row in sources["datasources"] if row["type"] == "alertmanager"]
    (link,) = [link["url"] for link in parsed(HOME)["links"] if not link["url"].startswith("/d/")]

    assert f"/alerting/groups?alertmanager={name}" == link


def test_list_of_alerts() -> None:
    """The home dashboard lists the alerts that notify somebody, of every Prometheus that manages alerts."""
    (panel,) = [panel for panel in panels(HOME) if panel["type"] == "alertlist"]
    options = panel["options"]
    wanted = [name for name, is_shown in options["stateFilter"].items() if is_shown]

    assert '{alertname=~"Gatewayz.+", severity=~"warning|critical"}' == options["alertInstanceLabelFilter"]
    assert ["error", "firing", "pending"] == wanted
    assert "datasource" not in options


@every_file
def test_closed_rows(file: str) -> None:
    """Panels of logs and traces are in closed rows: where there is no Loki or Tempo, none of them fails."""
    closed = [panel for row in parsed(file)["panels"] for panel in row.get("panels", ())]
    needing = [panel for panel in panels(file) if dashboards.source_of(panel) in ("loki", "tempo")]

    assert needing
    assert [] == [panel["title"] for panel in needing if panel not in closed]


@every_file
def test_import(file: str) -> None:
    """The import dialog asks for the metrics only, and its choice is the value of the variable."""
    (asked,) = parsed(file)["__inputs"]

    assert ("datasource", "prometheus") == (asked["type"], asked["pluginId"])
    assert f"${{{asked['name']}}}" == variables(file)["datasource"]["current"]["value"]


@every_file
def test_oldest_grafana(file: str) -> None:
    """The dashboard has nothing that Grafana 9.4 does not know."""
    tree = parsed(file)

    assert 37 == tree["schemaVersion"]
    assert [] == [text for text in texts(tree) if text == "palette-classic-by-name" or "panes=" in text]
    assert "cellOptions" not in json.dumps(tree)


@every_file
def test_data_sources(file: str) -> None:
    """Every data source is a variable of the dashboard."""
    text = json.dumps(parsed(file))
    found = re.findall(r'"datasource": \{"type": "([^"]*)", "uid": "([^"]*)"\}', text)
    rows = variables(file).items()
    chosen = {(row["query"], f"${{{name}}}") for name, row in rows if row["type"] == "datasource"}

    assert text.count('"datasource":') == len(found)
    assert {("prometheus", "${datasource}")} <= set(found) <= chosen
    assert set(SOURCES.items()) == chosen


@every_file
def test_variables(file: str) -> None:
    """Every variable that is used exists, and every variable is used, except for sources of links."""
    own = set(variables(file))
    names = {name for text in texts(parsed(file)) for name in dashboards.used_variables(text)}
    used = {name for name in names if not name.startswith("__")} - {IMPORT_INPUT}
    job = variables(file)["job"]

    assert set() == used - own
    assert {"tempo"} >= own - used
    assert ("query", 2) == (job["type"], job["refresh"])


def test_provider_variables() -> None:
    """The home dashboard takes several or all providers, the dashboard of a provider takes one."""
    provider = variables(HOME)["provider"]

    assert (True, True, ".+") == (provider["multi"], provider["includeAll"], provider["allValue"])
    assert not variables("gatewayz-provider.json")["provider"].get("multi")


@every_promql
def test_promql(query: Query) -> None:
    """Names exist, metrics have the job, rates use `$__rate_interval`, and sums merge replicas first."""
    own_labels = {label for instrument in INSTRUMENTS for label in instrument.labels}
    assert set() == set(NAME.findall(query.text)) - published() - RECORDED - LOCAL - FOREIGN_METRICS
    assert set() == labels(query.text) - own_labels - FOREIGN_LABELS

    assert "instance=" not in query.text.replace(" ", "")
    own = query.text
    for name in LOCAL:
        own = own.replace(name, "")
    selectors = re.findall(r"\b(?:gatewayz|process|scrape)_[\w:]+(\{[^}]*\})?", own)
    if not query.where.endswith("variable job"):
        assert [] == [selector for selector in selectors if 'job=~"$job"' not in selector]

    windows = re.findall(r"\b(?:rate|irate|increase|delta)\((?:\w+(?:\{[^}]*\})?\[([^\]]+)\])?", query.text)
    assert {"$__rate_interval"} >= set(windows)

    sums = r"\b(?:sum|count|avg)(?: by \([^)]*\))? \(?(?:gatewayz_provider|gatewayz_up)"
    assert not re.search(sums, query.text)


def test_foreign_names_are_used() -> None:
    """Every foreign metric and label is in a query."""
    assert set() == FOREIGN_METRICS - {name for query in promql for name in NAME.findall(query.text)}
    assert set() == FOREIGN_LABELS - {name for query in promql for name in labels(query.text)}


@every_file
def test_links(file: str) -> None:
    """Links lead to existing dashboards with existing variables, or to valid queries in Explore."""
    for link in links(file):
        parts = urlsplit(link)
        if parts.path == "/explore":
            assert ["traceql"] == [query["queryType"] for query in explored(link)]
        else:
            target = f"{parts.path.removeprefix('/d/')}.json"
            assert set(re.findall(r"var-(\w+)=", parts.query)) <= set(variables(target))


@every_file
def test_links_between_dashboards(file: str) -> None:
    """A dashboard links to the others with data sources, job and time range, without providers."""
    head = [link for link in parsed(file)["links"] if link["url"].startswith("/d/")]

    assert set(FILES) - {file} == {f"{urlsplit(link['url']).path.removeprefix('/d/')}.json" for link in head}
    for link in head:
        assert ["datasource", "loki", "tempo", "job"] == re.findall(r"\$\{(\w+):queryparam\}", link["url"])
        assert (False, True) == (link["includeVars"], link["keepTime"])


@every_file
def test_annotations(file: str) -> None:
    """Marks warnings and critical alerts only; links and annotations are not in a menu."""
    rows = parsed(file)["annotations"]["list"]

    assert ['severity=~"warning|critical"'] == [
        matcher for row in rows for matcher in re.findall(r'severity=~"[^"]*"', row.get("expr", ""))
    ]
    assert [] == [row for row in (*parsed(file)["links"], *rows) if "placement" in row]


@pytest.mark.parametrize("file", [HOME, "gatewayz-exporter.json"])
def test_data_age(file: str) -> None:
    """The age is judged in poll intervals: orange if a poll is late, red from three intervals."""
    (panel,) = [panel for panel in panels(file) if panel["title"] == "Data Age"]
    age, intervals = panel["targets"]
    (override,) = panel["fieldConfig"]["overrides"]
    (colors,) = [row["value"] for row in override["properties"] if row["id"] == "thresholds"]

    assert "gatewayz_exporter_poll_interval_seconds" in intervals["expr"]
    assert ("Age", intervals["legendFormat"]) == (age["legendFormat"], override["matcher"]["options"])
    assert [("green", None), ("orange", 1.5), ("red", 3)] == [
        (step["color"], step["value"]) for step in colors["steps"]
    ]
    assert 1 == len(panel["fieldConfig"]["defaults"]["thresholds"]["steps"])


def test_overdue_health_checks() -> None:
    """Health checks are compared with HEALTH_CHECK_OVERDUE at the time of the list, as by the rules."""
    (query,) = [query.text for query in promql if "2 * " in query.text and "last_health_check" in query.text]

    assert "> bool scalar(max(gatewayz_exporter_health_check_overdue_seconds{" in query
    assert 'gatewayz_exporter_last_success_timestamp_seconds{job=~"$job", endpoint="providers"}' in query
    assert "time()" not in query


def test_logql() -> None:
    """Every LogQL query selects the exporter's stream."""
    logql = [query.text for query in ALL_QUERIES if query.source == "loki"]

    assert len(logql) >= 3
    assert [] == [text for text in logql if not text.startswith('{service="provider-metrics-exporter"}')]
