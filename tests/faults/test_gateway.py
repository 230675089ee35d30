"""Every case of the table, on real sockets: what a fetch comes to, what stays, what is said, how it ends."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from exporter.errors import Outcome
from tests.faults.cases import ALL, CASES, PROXIED, Case
from tests.faults.certificates import write_authority
from tests.faults.front import KEY, front, series, settings_for
from tests.faults.matrix import Row
from tests.faults.peer import Gateway, ProxiedGateway, Says, State
from tests.faults.proof import data_of, polled_well, proved
from tests.replay import LIST, LIST_NO_SLASH, STATS, recording


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The certificate of the authority that the exporter trusts."""
    return write_authority(tmp_path_factory.mktemp("tls") / "ca.pem")


@pytest.mark.parametrize("case", ALL, ids=CASES)
def test_case(
    case: Case, authority: Path, monkeypatch: pytest.MonkeyPatch, matrix: Callable[[Row], None]
) -> None:
    """A case comes to what the table says."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(authority))

    with Gateway() as gateway:
        url = f"{'https' if case.https else 'http'}://{gateway.address}"
        matrix(proved(case, ALL.index(case), gateway, url))


@pytest.mark.parametrize("case", PROXIED, ids=[case.name for case in PROXIED])
def test_proxied_case(
    case: Case, authority: Path, monkeypatch: pytest.MonkeyPatch, matrix: Callable[[Row], None]
) -> None:
    """A case of a gateway behind a proxy comes to what the table says."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(authority))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")

    with ProxiedGateway() as gateway:
        monkeypatch.setenv("ALL_PROXY", f"http://me:secret@{gateway.proxy.address}")
        url = f"{'https' if case.https else 'http'}://{gateway.HOST}"
        matrix(proved(case, PROXIED.index(case), gateway, url))


def test_names_are_unique() -> None:
    """No case hides another one of its name."""
    assert len(ALL) == len(CASES)


def test_data_go_stale(matrix: Callable[[Row], None]) -> None:
    """When a failure lasts, the last good data stay until STALE_AFTER, and then they are gone."""
    case = CASES["status-500"]
    with Gateway() as gateway, front(settings_for(f"http://{gateway.address}")) as exporter:
        before, _ = polled_well(case, gateway, exporter)
        gateway.become(case.state)
        stale_after = exporter.rig.settings.stale_after
        exporter.rig.clock.now += stale_after - 60
        exporter.poll()
        kept = exporter.scrape()
        exporter.rig.clock.now += 60
        exporter.poll()
        gone = exporter.scrape()
        levels = [line["level"] for line in exporter.rig.lines() if line["message"] == "Fetch failed"]
        last_update = series("gatewayz_provider_metrics_last_update")

        assert ["error", "error", "warning", "warning"] == levels
        assert data_of(before) == data_of(kept)
        assert {} == data_of(gone)
        assert before[last_update] == gone[last_update]
        assert 0 == gone[series("gatewayz_up")]
        assert data_of(before) == data_of(polled_well(case, gateway, exporter)[0])
    matrix(
        Row(
            "Answers",
            len(ALL),
            "Status 500, for longer than `STALE_AFTER`",
            case.outcome.value,
            "`gatewayz_up` 0, all data gone; recovered",
            "Fetch failed: an error at first, then a warning",
        )
    )


def test_empty_from_the_start(matrix: Callable[[Row], None]) -> None:
    """A gateway that has no providers when the exporter starts is empty, and a warning says so."""
    empty = Says(recording("19-list-empty-table.http"))
    state = State({LIST: empty, LIST_NO_SLASH: empty, STATS: Says(recording("20-stats-empty-table.http"))})
    with Gateway() as gateway, front(settings_for(f"http://{gateway.address}")) as exporter:
        gateway.become(state)
        exporter.poll()
        scrape, messages = exporter.scrape(), exporter.rig.messages()

    assert ["No providers listed", "Updated provider metrics"] == messages
    assert [1, 0, 0] == [
        scrape[series(name)]
        for name in ("gatewayz_up", "gatewayz_providers_total", "gatewayz_providers_listed")
    ]
    assert [] == [key for key in scrape if key[0] == "gatewayz_provider_health_status"]
    matrix(
        Row(
            "Bodies",
            len(ALL),
            "Empty answers from the start (recorded)",
            Outcome.OK.value,
            "`gatewayz_up` 1, `gatewayz_providers_total` 0, no provider",
            "; ".join(messages),
        )
    )


def test_netrc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, matrix: Callable[[Row], None]) -> None:
    """An entry of ~/.netrc for the gateway's host does not take the place of our key."""
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login somebody password something\n")
    (tmp_path / ".netrc").chmod(0o600)
    monkeypatch.setenv("HOME", str(tmp_path))
    case = CASES["redirect"]
    with Gateway() as gateway, front(settings_for(f"http://{gateway.address}")) as exporter:
        polled_well(case, gateway, exporter)

    assert {f"Bearer {KEY}"} == {asked.headers["Authorization"] for asked in gateway.asked}
    title = "`~/.netrc` names the gateway's host: our key is sent all the same"
    log = "Updated provider metrics"
    matrix(Row("Answers", len(ALL) + 1, title, Outcome.OK.value, "`gatewayz_up` 1, the recorded data", log))
