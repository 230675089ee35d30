"""Settings, gateway and exporter: the first link that is broken is named."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from exporter import __version__
from exporter.check import NO_PROVIDERS
from exporter.config.settings import Settings
from exporter.doctor.context import Case
from exporter.doctor.report import State
from exporter.doctor.source import (
    FIRST_POLL,
    LINKS,
    LONGEST_POLL_SECONDS,
    NOT_OURS,
    POLL_FAILS,
    POLLER_DEAD,
    gateway,
    own_address,
    settings,
)
from exporter.doctor.targets import EXPORTER, Addresses
from exporter.errors import HINTS, Outcome
from exporter.model.snapshot import Snapshot
from exporter.transport.authorities import AUTHORITIES, WANTED
from tests.certificates import USER, Folder, hashed
from tests.clocks import START_DATE, MovedClock
from tests.doctor.backends import Refusal, exposition
from tests.doctor.walks import Chain, chain, nobody_polls
from tests.faults.certificates import Tls, write_authority
from tests.faults.peer import Gateway, Says, Silence, both, stats_only
from tests.faults.peer import State as Played
from tests.process import invoke
from tests.replay import answer, recording

KEY = "test-admin-key"
OK = ["ok"] * len(LINKS)


def links(url: str, **variables: str) -> dict[str, dict[str, Any]]:
    """Return what `doctor` finds at the gateway, by link."""
    result = invoke("doctor", "--json", GATEWAY_API_URL=url, ADMIN_KEY=KEY, METRICS_PORT="0", **variables)
    assert "" == result.stderr
    found = {one["check"]: one for one in json.loads(result.stdout)["checks"]}
    return {link: found[f"gateway {link}"] for link in LINKS}


def states(found: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Return how the checks of the links ended, in their order."""
    return [one["state"] for one in found.values()]


@pytest.fixture
def peer() -> Iterator[Gateway]:
    """A gateway that does what it is told."""
    with Gateway() as running:
        yield running


@pytest.fixture
def good() -> Iterator[Chain]:
    """A chain that is well."""
    with chain() as running:
        yield running


def test_good_gateway(peer: Gateway) -> None:
    """A good gateway is well in all links; plain HTTP has no TLS that could be broken."""
    found = links(f"http://{peer.address}")

    assert ["ok", "ok", "skipped", "ok", "ok"] == states(found)
    assert found["answers"]["found"].startswith("40 providers, 34 active, in ")


def test_good_gateway_by_tls(peer: Gateway, tmp_path: Path) -> None:
    """By TLS all of them are looked at."""
    peer.become(Played(tls=Tls.GOOD))
    bundle = write_authority(tmp_path / "ca.pem")

    assert OK == states(links(f"https://{peer.address}", REQUESTS_CA_BUNDLE=str(bundle)))


@pytest.mark.parametrize(
    ("state", "link", "outcome"),
    [
        (Played(listens=False), "connection", Outcome.CONNECT),
        (Played(accepts=False), "connection", Outcome.TIMEOUT),
        (Played(tls=Tls.UNTRUSTED), "TLS", Outcome.TLS),
        (Played(both(Says(recording("11-list-wrong-key.http")))), "key", Outcome.UNAUTHORIZED),
        (Played(both(Says(recording("09-list-no-authorization.http")))), "key", Outcome.FORBIDDEN),
        (Played(both(Silence())), "answers", Outcome.TIMEOUT),
        (Played(stats_only(Says(answer(500)))), "answers", Outcome.SERVER_ERROR),
        (Played(both(Says(answer(200, b"<html>")))), "answers", Outcome.NOT_JSON),
    ],
    ids=lambda value: str(value) if isinstance(value, str | Outcome) else "",
)
def test_broken_link(peer: Gateway, state: Played, link: str, outcome: Outcome) -> None:
    """The first broken link is named with what to do; those behind it are not tried."""
    peer.become(state)
    found = links(f"{'https' if state.tls else 'http'}://{peer.address}", FETCH_TIMEOUT="1")

    broken = LINKS.index(link)
    assert "failed" == found[link]["state"]
    assert {"not_tried"} >= set(states(found)[broken + 1 :])
    assert {"ok", "skipped"} >= set(states(found)[:broken])
    assert f": {outcome}" in found[link]["found"]
    assert HINTS[outcome] in found[link]["remedy"]


def test_name_that_nobody_has() -> None:
    """A name that cannot be resolved is the first link."""
    found = links("https://gateway.invalid")

    assert ["failed", *["not_tried"] * 4] == states(found)
    assert 1 == found["DNS"]["remedy"].count(HINTS[Outcome.DNS])


def test_empty_gateway(peer: Gateway) -> None:
    """A gateway without a provider answers as one whose database is down."""
    stats = Says(recording("17-stats-db-down.http"))
    peer.become(Played({**both(Says(recording("16-list-db-down.http"))), "/providers/stats": stats}))
    found = links(f"http://{peer.address}")

    assert ("failed", "no providers", NO_PROVIDERS) == tuple(
        found["answers"][name] for name in ("state", "found", "remedy")
    )


def judge_settings(environ: Mapping[str, str]) -> tuple[State, str, str]:
    """Return how the check of the settings ends."""
    finding = settings(Case(environ, Addresses(), MovedClock(), nobody_polls))
    return finding.state, finding.found, finding.remedy


def test_good_settings() -> None:
    """Where the data come from and go to is told, but no key that may stand in an address."""
    environ = {
        "GATEWAY_API_URL": "http://gateway.example",
        "ADMIN_KEY": KEY,
        "OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318/path?key=abc",
    }
    state, found, remedy = judge_settings(environ)

    assert (State.OK, "http://gateway.example every 60 s; telemetry to http://collector:4318") == (
        state,
        found,
    )
    assert remedy.startswith("GATEWAY_API_URL is plain http")
    assert judge_settings({**environ, "OTEL_SDK_DISABLED": "true"})[1].endswith("; no telemetry is sent")


def test_wrong_settings(tmp_path: Path) -> None:
    """Every problem is told, those of the files that are named included."""
    web, custom = tmp_path / "web.yml", tmp_path / "custom.yaml"
    web.write_text("rate_limits: {}\n")
    custom.write_text("metrics: {}\n")

    assert (
        State.FAILED,
        "4 problems",
        "GATEWAY_API_URL is not set: it must be the gateway's root, for example https://api.example.com\n"
        "ADMIN_KEY is not set, nor ADMIN_KEY_FILE: one must hold the gateway's admin key.\n"
        "WEB_CONFIG_FILE: rate_limits is not known: is rate_limit meant?\n"
        "CUSTOM_METRICS_FILE: metrics must be a list of metrics; use [] for none.",
    ) == judge_settings({"WEB_CONFIG_FILE": str(web), "CUSTOM_METRICS_FILE": str(custom)})
    assert "1 problem" == judge_settings({"ADMIN_KEY": KEY})[1]


@pytest.mark.parametrize("name", AUTHORITIES)
def test_authorities_that_are_not_there(tmp_path: Path, name: str) -> None:
    """A bundle that does not exist breaks every https:// and is named."""
    environ = {"GATEWAY_API_URL": "https://gateway.example", "ADMIN_KEY": KEY, name: str(tmp_path / "ca.pem")}

    assert f"{name} cannot be read: No such file or directory. {WANTED}" == judge_settings(environ)[2]
    assert State.OK is judge_settings({**environ, name: str(tmp_path)})[0]
    assert State.OK is judge_settings({**environ, "GATEWAY_API_URL": "http://localhost"})[0]


def test_poll_is_bounded(settings_for: Callable[..., Settings]) -> None:
    """The poll takes FETCH_TIMEOUT as the exporter's own do, but never so long that the walk has no end."""
    polled: list[float] = []

    def poll(settings: Settings) -> Snapshot:
        polled.append(settings.fetch_timeout)
        return Snapshot()

    for wanted in ("7", "600"):
        case = Case({}, Addresses(), MovedClock(), poll)
        case.settings = settings_for(FETCH_TIMEOUT=wanted, SCRAPE_INTERVAL="3600")
        gateway("DNS")(case)
    assert [7.0, LONGEST_POLL_SECONDS] == polled


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, "http://localhost:8001"),
        ({"METRICS_HOST": "::1", "METRICS_PORT": "9"}, "http://[::1]:9"),
        ({"METRICS_HOST": "0.0.0.0"}, "http://localhost:8001"),
        ({"METRICS_HOST": "exporter.example"}, "http://exporter.example:8001"),
        ({"--web.listen-address": "[::1]:9", "--web.route-prefix": "/exporter"}, "http://[::1]:9/exporter"),
        ({"METRICS_PORT": "0"}, None),
        ({"METRICS_PORT": "x"}, None),
    ],
)
def test_own_address(environ: Mapping[str, str], expected: str | None) -> None:
    """Without an address of its own the exporter is looked for where it listens."""
    assert expected == own_address(environ)


def test_own_address_with_tls(tmp_path: Path) -> None:
    """A web configuration file decides between http:// and https://."""
    folder = Folder(tmp_path)
    file = folder.write(basic_auth_users={USER: hashed()})
    assert "http://localhost:8001" == own_address({"WEB_CONFIG_FILE": str(file)})

    folder.write(tls={})
    assert "https://localhost:8001" == own_address({"WEB_CONFIG_FILE": str(file)})


def test_metrics_below_another_path(good: Chain) -> None:
    """The metrics are read where the exporter's own flag says."""
    good.answers(EXPORTER)["/prom"] = good.answers(EXPORTER).pop("/metrics")
    good.environ["--web.telemetry-path"] = "/prom"

    assert State.OK is good.walk()["exporter"].finding.state


def test_metrics_below_a_wrong_path(good: Chain) -> None:
    """With a wrong flag the metrics are read from the default path; the check of the settings reports it."""
    good.environ["--web.telemetry-path"] = "a b"

    assert State.OK is good.walk()["exporter"].finding.state


def test_good_exporter(good: Chain) -> None:
    """Version, age and last poll are told, by the exporter's own clock."""
    good.backends[EXPORTER].ahead = 10_000
    good.answers(EXPORTER)["/metrics"] = exposition(START_DATE + 10_000)

    results = good.walk()

    assert (f"version {__version__}, started 3 h ago", "last good poll 12 s ago, 40 providers") == (
        results["exporter"].finding.found,
        results["exporter poll"].finding.found,
    )


@pytest.mark.parametrize(
    ("samples", "expected"),
    [
        (
            {"gatewayz_up": 0.0},
            (State.FAILED, "the last poll failed; last good one: 12 s ago", POLL_FAILS),
        ),
        (
            {"gatewayz_up": 0.0, "gatewayz_provider_metrics_last_update": None},
            (State.FAILED, "the last poll failed; last good one: none since the start", POLL_FAILS),
        ),
        (
            {
                "gatewayz_up": 0.0,
                "gatewayz_provider_metrics_last_update": None,
                'gatewayz_exporter_fetches_total{endpoint="providers",outcome="ok"}': 0.0,
            },
            (State.WAITING, "no poll has ended yet", FIRST_POLL),
        ),
    ],
    ids=["failing", "never", "just started"],
)
def test_polls(good: Chain, samples: dict[str, float | None], expected: tuple[State, str, str]) -> None:
    """A failed poll is told from one that is only under way."""
    good.answers(EXPORTER)["/metrics"] = exposition(START_DATE, **samples)
    finding = good.walk()["exporter poll"].finding

    assert expected == (finding.state, finding.found, finding.remedy)


@pytest.mark.parametrize(
    ("page", "found", "remedy"),
    [
        (Refusal(503), "HTTP status 503", POLLER_DEAD),
        (b"<html>", "an answer without metrics of this exporter", NOT_OURS),
        (b"\xff\x00", "an answer without metrics of this exporter", NOT_OURS),
        (exposition(START_DATE, **{f'gatewayz_exporter_build_info{{version="{__version__}"}}': None}),
         "an answer without metrics of this exporter", NOT_OURS),
    ],
)  # fmt: skip
def test_sick_exporter(good: Chain, page: Any, found: str, remedy: str) -> None:
    """A dead poller is told from something else that answers."""
    good.answers(EXPORTER)["/metrics"] = page
    finding = good.walk()["exporter"].finding

    assert (State.FAILED, found, remedy) == (finding.state, finding.found, finding.remedy)


@pytest.mark.parametrize("value", ["soon", "1.0 garbage", "NaN"])
def test_numbers_that_are_none(good: Chain, value: str) -> None:
    """Garbage in a sample is no traceback."""
    page = exposition(START_DATE).replace(b"gatewayz_up 1.0", f"gatewayz_up {value}".encode())
    good.answers(EXPORTER)["/metrics"] = page

    assert {"exporter poll": State.FAILED} == good.sick()
