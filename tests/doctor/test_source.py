"""Tests of the checks of settings, gateway and exporter."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from exporter.check import OVERDUE
from exporter.doctor.context import Context
from exporter.doctor.report import Finding, State, failed, ok
from exporter.doctor.source import (
    FIRST_POLL,
    INVALID_FILE,
    NOT_OURS,
    POLL_FAILS,
    POLLER_DEAD,
    STEPS,
    custom_metrics,
    own_url,
    settings,
    web_configuration,
)
from exporter.doctor.targets import EXPORTER, Targets
from exporter.errors import HINTS, Outcome
from tests.certificates import USER, Folder, hashed
from tests.clocks import START_DATE, MovedClock
from tests.doctor.backends import Response, exposition
from tests.doctor.chain import Chain, failing, unexpected_poll
from tests.faults.certificates import Tls, write_authority
from tests.faults.peer import Gateway, Says, Silence, both, stats_only
from tests.faults.peer import State as Played
from tests.process import invoke
from tests.replay import KEY, LIST, ReplayGateway, answer, recording

ROOT = Path(__file__).parents[2]
LAST_UPDATE = "gatewayz_provider_metrics_last_update"
LAST = "the last poll failed; last successful poll:"
NO_METRICS = failed("no metrics of this exporter", NOT_OURS)
FETCHES = 'gatewayz_exporter_fetches_total{endpoint="providers",outcome="ok"}'


def steps(url: str, more: Sequence[str] = (), **variables: str) -> dict[str, dict[str, Any]]:
    """Return the checks of the gateway, by step, and more of its checks."""
    environ = {"GATEWAY_API_URL": url, "ADMIN_KEY": KEY, "METRICS_PORT": "0", **variables}
    result = invoke("doctor", "--json", **environ)
    assert "" == result.stderr
    found = {one["check"]: one for one in json.loads(result.stdout)["checks"]}
    return {step: found[f"gateway {step}"] for step in (*STEPS, *more)}


def states(found: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Return the states of the steps."""
    return [one["state"] for one in found.values()]


def test_good_gateway(peer: Gateway, tmp_path: Path) -> None:
    """All steps pass; TLS is skipped for plain HTTP."""
    plain = steps(f"http://{peer.address}")
    peer.become(Played(tls=Tls.GOOD))
    bundle = write_authority(tmp_path / "ca.pem")
    by_tls = steps(f"https://{peer.address}", REQUESTS_CA_BUNDLE=str(bundle))

    assert ["ok", "ok", "skipped", "ok", "ok"] == states(plain)
    assert ["ok"] * 5 == states(by_tls)
    assert plain["answers"]["found"].startswith("40 providers, 34 active, in ")


@pytest.mark.parametrize(
    ("state", "step", "outcome"),
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
def test_failing_step(peer: Gateway, state: Played, step: str, outcome: Outcome) -> None:
    """The step fails with the hint of its outcome; earlier steps pass, later steps are not tried."""
    peer.become(state)
    found = steps(f"{'https' if state.tls else 'http'}://{peer.address}", FETCH_TIMEOUT="1")

    broken = STEPS.index(step)
    assert "failed" == found[step]["state"]
    assert {"not_tried"} >= set(states(found)[broken + 1 :])
    assert {"ok", "skipped"} >= set(states(found)[:broken])
    assert (True, True) == (f": {outcome}" in found[step]["found"], HINTS[outcome] in found[step]["remedy"])


def test_unknown_host() -> None:
    """Without DNS, the first step fails with one hint."""
    found = steps("https://gateway.invalid")

    assert ["failed", *["not_tried"] * 4] == states(found)
    assert 1 == found["DNS"]["remedy"].count(HINTS[Outcome.DNS])


def check_settings(environ: Mapping[str, str]) -> Finding:
    """Return the finding of the check of the settings."""
    return settings(Context(environ, Targets(), MovedClock(), unexpected_poll))


def test_valid_settings() -> None:
    """The finding has the gateway and the OTLP endpoint without path and query, and warnings as remedy."""
    environ = {"GATEWAY_API_URL": "http://gateway.example", "ADMIN_KEY": KEY}
    environ["OTEL_EXPORTER_OTLP_ENDPOINT"] = "http://collector:4318/path?key=abc"
    finding = check_settings(environ)

    assert "http://gateway.example every 60 s; telemetry to http://collector:4318" == finding.found
    assert finding.remedy.startswith("GATEWAY_API_URL is plain http")
    disabled = check_settings({**environ, "OTEL_SDK_DISABLED": "true"})
    assert (State.OK, True) == (disabled.state, disabled.found.endswith("; no telemetry is sent"))


def test_invalid_settings() -> None:
    """The remedy has all problems of the environment, not those of files that it names."""
    finding = check_settings({"WEB_CONFIG_FILE": "/none", "CUSTOM_METRICS_FILE": "/none"})

    assert (State.FAILED, "2 problems") == (finding.state, finding.found)
    assert ["GATEWAY_API_URL", "ADMIN_KEY"] == [line.split()[0] for line in finding.remedy.splitlines()]
    assert "1 problem" == check_settings({"ADMIN_KEY": KEY}).found


def test_settings_without_effect_on_the_gateway(gateway: ReplayGateway) -> None:
    """Other invalid settings do not stop the look at the gateway; its own do."""
    others = {"METRICS_PORT": "x", "SCRAPE_INTERVAL": "x", "OTEL_EXPORTER_OTLP_ENDPOINT": "x"}
    checks = json.loads(invoke("doctor", "--json", **gateway.variables(**others)).stdout)["checks"]
    found = {one["check"]: one["state"] for one in checks}
    own = steps(gateway.url, FETCH_TIMEOUT="x")

    assert ("failed", "ok") == (found["settings"], found["gateway answers"])
    assert ["not_tried"] * 5 == states(own)
    assert "needs settings" == own["DNS"]["found"]


def test_files(tmp_path: Path) -> None:
    """The checks of the files say what is in them, with the warnings about it."""
    folder, custom = Folder(tmp_path), tmp_path / "custom.yaml"
    web = folder.write(tls={}, basic_auth_users={USER: hashed()})
    custom.write_text("metrics: {}\n", encoding="utf-8")
    environ = {"WEB_CONFIG_FILE": str(web), "CUSTOM_METRICS_FILE": str(custom)}
    context = Context(environ, Targets(), MovedClock(), unexpected_poll)

    assert ok("TLS, 1 user") == web_configuration(context)
    invalid = custom_metrics(context)
    assert (State.FAILED, "1 problem") == (invalid.state, invalid.found)
    assert ["CUSTOM_METRICS_FILE", INVALID_FILE] == [
        line.partition(": ")[0] for line in invalid.remedy.splitlines()
    ]
    custom.write_bytes((ROOT / "examples" / "custom-metrics.yaml").read_bytes())
    assert State.OK is custom_metrics(context).state


def test_health_checks(gateway: ReplayGateway) -> None:
    """Fails if those of most active providers are overdue, as the status page says; recorded ones are old."""
    overdue = steps(gateway.url, more=("health checks",))["health checks"]
    gateway.check_health()
    recent = steps(gateway.url, more=("health checks",))["health checks"]

    assert ("failed", OVERDUE) == (overdue["state"], overdue["remedy"])
    assert "Health checks are overdue: 30 of 34 active providers" == overdue["found"]
    assert ("ok", "1 of 34 active providers overdue") == (recent["state"], recent["found"])


def test_no_active_provider(gateway: ReplayGateway) -> None:
    """There is nothing to check without an active provider."""
    gateway.answers[LIST] = answer(200, b'[{"slug":"a","is_active":false}]')

    found = steps(gateway.url, more=("health checks",))["health checks"]
    assert ("skipped", "no provider is active") == (found["state"], found["found"])


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
def test_own_url(environ: Mapping[str, str], expected: str | None) -> None:
    """The default URL of the exporter is that of its listen address."""
    assert expected == own_url(environ)


def test_own_url_with_tls(tmp_path: Path) -> None:
    """The scheme is https:// where the web configuration has TLS."""
    folder = Folder(tmp_path)
    file = folder.write(basic_auth_users={USER: hashed()})
    assert "http://localhost:8001" == own_url({"WEB_CONFIG_FILE": str(file)})

    folder.write(tls={})
    assert "https://localhost:8001" == own_url({"WEB_CONFIG_FILE": str(file)})


@pytest.mark.parametrize(("flag", "path"), [("/prom", "/prom"), ("a b", "/metrics")])
def test_telemetry_path(chain: Chain, flag: str, path: str) -> None:
    """Reads metrics below the path of the flag, below the default path where the flag is invalid."""
    chain.answers(EXPORTER)[path] = chain.answers(EXPORTER).pop("/metrics")
    chain.environ["--web.telemetry-path"] = flag

    assert State.OK is chain.finding("exporter").state


@pytest.mark.parametrize(
    ("samples", "expected"),
    [
        ({}, failed(f"{LAST} 12 s ago", POLL_FAILS)),
        ({LAST_UPDATE: None}, failed(f"{LAST} none since the start", POLL_FAILS)),
        ({LAST_UPDATE: None, FETCHES: 0.0}, Finding(State.WAITING, "no poll has ended yet", FIRST_POLL)),
    ],
    ids=["failing", "never", "just started"],
)
def test_failed_poll(chain: Chain, samples: dict[str, float | None], expected: Finding) -> None:
    """Distinguishes a failed poll from a first poll that is still running."""
    chain.answers(EXPORTER)["/metrics"] = exposition(START_DATE, gatewayz_up=0.0, **samples)

    assert expected == chain.finding("exporter poll")


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (Response(503), failed("HTTP status 503", POLLER_DEAD)),
        *((body, NO_METRICS) for body in (b"<html>", b"\xff\x00", b"gatewayz_up 1.0\n")),
    ],
    ids=["503", "HTML", "bytes", "no version"],
)
def test_failing_exporter(chain: Chain, answer: Any, expected: Finding) -> None:
    """Distinguishes a dead poller from another server."""
    chain.answers(EXPORTER)["/metrics"] = answer

    assert expected == chain.finding("exporter")


@pytest.mark.parametrize("value", ["soon", "1.0 garbage", "NaN"])
def test_invalid_sample(chain: Chain, value: str) -> None:
    """An invalid value of `gatewayz_up` fails the check of the poll."""
    metrics = exposition(START_DATE).replace(b"gatewayz_up 1.0", f"gatewayz_up {value}".encode())
    chain.answers(EXPORTER)["/metrics"] = metrics

    assert {"exporter poll": State.FAILED} == failing(chain.run())
