"""Every case of the table on real sockets: outcome, metrics, log records and recovery."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.cases import ALL, CASES, PROXIED, Case
from tests.faults.certificates import write_authority
from tests.faults.front import front
from tests.faults.matrix import Matrix, Row
from tests.faults.outside import KEY, series
from tests.faults.peer import Gateway, ProxiedGateway, Says, State, both
from tests.faults.proof import data_of, polled_well, proved
from tests.replay import STATS, recording


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The certificate of the CA that the exporter trusts."""
    return write_authority(tmp_path_factory.mktemp("tls") / "ca.pem")


@pytest.mark.parametrize("case", ALL, ids=CASES)
def test_case(case: Case, authority: Path, monkeypatch: pytest.MonkeyPatch, matrix: Matrix) -> None:
    """A case has the result of the table."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(authority))

    with Gateway() as gateway:
        url = f"{'https' if case.https else 'http'}://{gateway.address}"
        matrix(proved(case, ALL.index(case), gateway, url))


@pytest.mark.parametrize("case", PROXIED, ids=[case.name for case in PROXIED])
def test_proxied_case(case: Case, authority: Path, monkeypatch: pytest.MonkeyPatch, matrix: Matrix) -> None:
    """A case of a gateway behind a proxy has the result of the table."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(authority))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")

    with ProxiedGateway() as gateway:
        monkeypatch.setenv("ALL_PROXY", f"http://me:secret@{gateway.proxy.address}")
        url = f"{'https' if case.https else 'http'}://{gateway.HOST}"
        matrix(proved(case, PROXIED.index(case), gateway, url))


def test_stale_data(matrix: Matrix) -> None:
    """During a long failure the last good data stay until STALE_AFTER, and are then removed."""
    case = CASES["status-500"]
    with Gateway() as gateway, front(gateway.url) as exporter:
        before, _ = polled_well(case, gateway, exporter)
        gateway.become(case.state)
        exporter.rig.clock.now += exporter.rig.settings.stale_after - 60
        exporter.poll()
        cached = exporter.scrape()
        exporter.rig.clock.now += 60
        exporter.poll()
        stale = exporter.scrape()
        levels = [line["level"] for line in exporter.rig.lines() if line["message"] == "Fetch failed"]
        last_update = series("gatewayz_provider_metrics_last_update")

        assert ["error", "error", "warning", "warning"] == levels
        assert data_of(before) == data_of(cached)
        assert {} == data_of(stale)
        assert before[last_update] == stale[last_update]
        assert 0 == stale[series("gatewayz_up")]
        assert data_of(before) == data_of(polled_well(case, gateway, exporter)[0])
    title, metrics = "Status 500, for longer than `STALE_AFTER`", "`gatewayz_up` 0, data removed; recovered"
    log = "Fetch failed: an error at first, then a warning"
    matrix(Row("Answers", len(ALL), title, "server_error", metrics, log))


def test_empty_from_the_start(matrix: Matrix) -> None:
    """A gateway without providers at the start of the exporter is no failure, but logs a warning."""
    empty = both(Says(recording("19-list-empty-table.http")))
    with Gateway() as gateway, front(gateway.url) as exporter:
        gateway.become(State({**empty, STATS: Says(recording("20-stats-empty-table.http"))}))
        exporter.poll()
        scrape, messages = exporter.scrape(), exporter.rig.messages()

    assert ["No providers listed", "Updated provider metrics"] == messages
    names = ("gatewayz_up", "gatewayz_providers_total", "gatewayz_providers_listed")
    assert [1, 0, 0] == [scrape[series(name)] for name in names]
    assert [] == [key for key in scrape if key[0] == "gatewayz_provider_health_status"]
    title = "Empty answers from the start (recorded)"
    metrics = "`gatewayz_up` 1, `gatewayz_providers_total` 0, no provider"
    matrix(Row("Bodies", len(ALL), title, "ok", metrics, "; ".join(messages)))


def test_netrc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, matrix: Matrix) -> None:
    """An entry of ~/.netrc for the gateway's host does not replace the admin key."""
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login somebody password something\n")
    (tmp_path / ".netrc").chmod(0o600)
    monkeypatch.setenv("HOME", str(tmp_path))
    with Gateway() as gateway, front(gateway.url) as exporter:
        polled_well(CASES["redirect"], gateway, exporter)

    assert {f"Bearer {KEY}"} == {asked.authorization for asked in gateway.asked}
    title, metrics = "Entry for the gateway in `~/.netrc`: not used", "`gatewayz_up` 1, the recorded data"
    matrix(Row("Answers", len(ALL) + 1, title, "ok", metrics, "Updated provider metrics"))
