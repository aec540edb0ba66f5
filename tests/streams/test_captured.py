"""Whole runs of real Alertmanagers, replayed: what each incident's owner was told, and when.

The histories were written down from the bodies and from what the capture's README says was done, not from what the
router makes of them. One line an incident: the owner's label, when how many of its alerts came (+) and went (-), in
seconds, how it stands two days after the run, and how often it was told again without news.

Alertmanager 0.25 gives no reason, so told again means: nothing but what was known to fire, later than a retry. The body
at 728 s of PartlyMuted, the end of a silence, and those at 187 and 207 s of edge-truncated, in which alerts that are
cut off changed, are the same as a repeat's and count as such.

At 222.81 s of edge-truncated all two hundred are over, but its body says five that are, and that five are left out: so
do bodies of which those left out fire, as at 679.67 s. What that one leaves open is the incident of what comes later.
"""

import gzip
import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import pytest

from router.core.model import Notification, NotificationState
from router.intake.alertmanager import read
from tests.intake.bodies import DATA
from tests.streams.replay import Replay, ended, started

RUN_STARTED: Final = datetime(2026, 11, 21, 19, 35, 20, 100_000, tzinfo=UTC)
PAIRS_STARTED: Final = datetime(2026, 11, 21, 19, 50, 2, tzinfo=UTC)
HEALTHY: Final = ("alertmanager-0", "alertmanager-1")
CUT_OFF: Final = ("alertmanager-cut-0", "alertmanager-cut-1")
HISTORIES: Final[Mapping[str, tuple[str, ...]]] = {
    "heartbeat Watchdog": ("nobody: 0.00 +1, 555.09 -1, resolved, told again 55",),
    "default-webhook NightlyExportMissing batch": ("nobody: 0.82 +1, 440.92 -1, resolved, told again 21",),
    "default-webhook 支払いバッチ遅延": ("決済チーム: 52.51 +1, 452.70 -1, resolved, told again 19",),
    "default-webhook ReconciliationStuck": ("ledger: 52.51 +1, 437.65 -1, resolved, told again 17",),
    "default-webhook Minimal": ("nobody: 52.54 +1, 552.69 -1, resolved, told again 23",),
    "default-webhook SpecialCharacters": ("platform: 52.54 +1, 437.70 -1, resolved, told again 18",),
    "router\\.prod\\+jp \\(v2\\) OddlyBehavingThing": ("payments: 52.54 +1, 437.70 -1, resolved, told again 17",),
    "default-webhook OrphanAlert": ("nobody: 52.54 +1, 437.70 -1, resolved, told again 17",),
    "default-webhook KubeJobFailed batch": (
        "nobody: 66.82 +1, 76.82 +1, 426.99 -1, 436.99 -1, resolved, told again 16",
    ),
    "default-webhook KubeJobFailed billing": ("nobody: 78.82 +1, 428.88 -1, resolved, told again 16",),
    "default-webhook QueueDepthFrozen payments": ("payments: 135.51 +2, 440.80 -2, resolved, told again 14",),
    "default-webhook CronJobNotSucceeding batch": ("data-platform: 152.82 +1, 438.02 -1, resolved, told again 14",),
    "edge-full ProbeDown ap-northeast-1": (
        "edge: 167.78 +67, 187.72 -47, 207.68 +10, 217.80 -21, 222.69 -9, resolved, told again 0",
        "edge: 664.67 +15, 679.67 -5, 804.69 -10, resolved, told again 5",
    ),
    "edge-full ProbeDown eu-west-1": (
        "edge: 167.82 +66, 187.69 -46, 207.73 +10, 217.89 -27, 222.80 -3, resolved, told again 0",
    ),
    "edge-full ProbeDown us-east-1": ("edge: 167.82 +67, 187.88 -47, 207.82 +10, 217.89 -30, resolved, told again 0",),
    "edge-truncated ProbeDown": (
        "edge: 167.84 +5, 217.97 -4, 222.81 -1, 664.67 +5, 679.67 -5, 704.67 +5, 804.68 -5, stale, told again 6",
    ),
    "edge-one-group ProbeDown": (
        "edge: 167.90 +200, 187.88 -140, 207.93 +30, 217.98 -75, 222.77 -15, resolved, told again 0",
        "edge: 664.67 +15, 679.67 -5, 804.69 -10, resolved, told again 0",
    ),
    "storage-no-resolved DiskWillFillIn4Hours": ("storage: 235.52 +3, stale, told again 9",),
    "storage-all-labels DiskWillFillIn4Hours 0": ("storage: 235.52 +1, 440.84 -1, resolved, told again 9",),
    "storage-all-labels DiskWillFillIn4Hours 2": ("storage: 235.52 +1, 250.52 -1, resolved, told again 0",),
    "storage-all-labels DiskWillFillIn4Hours 1": ("storage: 235.52 +1, 250.52 -1, resolved, told again 0",),
    "auth-bearer AuthProbe": ("nobody: 265.52 +1, 440.80 -1, resolved, told again 8",),
    "auth-basic AuthProbe": ("nobody: 265.53 +1, 440.84 -1, resolved, told again 8",),
    "default-webhook FlappingThing": (
        "payments: 277.67 +1, 292.67 -1, resolved, told again 0",
        "payments: 302.55 +1, 437.59 -1, resolved, told again 6",
    ),
    "default-webhook ValueInLabel": ("payments: 311.52 +1, 326.53 -1, resolved, told again 0",),
    "default-webhook SilencedThing": ("payments: 337.64 +1, 372.63 -1, resolved, told again 0",),
    "default-webhook PodCrash": ("payments: 380.73 +1, 415.77 -1, resolved, told again 0",),
    "default-webhook NodeDown": ("platform: 390.64 +1, 415.73 -1, resolved, told again 1",),
    "default-webhook LongPast": ("payments: 686.72 +1, 806.73 -1, resolved, told again 5",),
    "default-webhook LongLabels": ("ledger: 686.72 +1, 806.75 -1, resolved, told again 4",),
    "default-webhook SloppyTeam": (" Payments : 686.72 +1, 806.75 -1, resolved, told again 5",),
    "default-webhook MixedOwners": (
        "nobody: 686.72 +1, 806.75 -1, resolved, told again 4",
        "ledger: 686.72 +1, 806.75 -1, resolved, told again 4",
        "payments: 686.72 +1, 806.75 -1, resolved, told again 4",
    ),
    "default-webhook NoAnnotationsNoGenerator": ("payments: 686.72 +1, 806.74 -1, resolved, told again 5",),
    "default-webhook TimezoneOffset": ("payments: 686.72 +1, 806.75 -1, resolved, told again 5",),
    "default-webhook StringsThatLookTyped": ("payments: 686.72 +1, 806.75 -1, resolved, told again 4",),
    "default-webhook HugeAnnotation": ("ledger: 686.73 +1, stale, told again 0",),
    "default-webhook PartlyMuted": ("payments: 698.73 +3, 718.74 -2, 803.75 -1, resolved, told again 4",),
    "default-webhook ManyOwners": (
        "team-00: 735.84 +3, 740.84 +14, 805.88 -17, resolved, told again 2",
        "team-01: 735.84 +3, 740.84 +14, 805.88 -17, resolved, told again 2",
        "team-02: 735.84 +3, 740.84 +14, 805.88 -17, resolved, told again 2",
        "team-03: 735.84 +2, 740.84 +15, 805.88 -17, resolved, told again 2",
        "team-04: 735.84 +2, 740.84 +15, 805.88 -17, resolved, told again 2",
        "team-05: 735.84 +2, 740.84 +15, 805.88 -17, resolved, told again 2",
        "team-06: 735.84 +2, 740.84 +15, 805.88 -17, resolved, told again 2",
        "team-07: 735.84 +2, 740.84 +15, 805.88 -17, resolved, told again 2",
        "team-08: 735.84 +2, 740.84 +14, 805.88 -16, resolved, told again 2",
        "team-09: 735.84 +2, 740.84 +14, 805.88 -16, resolved, told again 2",
        "team-10: 735.84 +2, 740.84 +14, 805.88 -16, resolved, told again 2",
        "team-11: 735.84 +2, 740.84 +14, 805.88 -16, resolved, told again 2",
    ),
}
LATER: Final = timedelta(days=2)


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    at_s: float
    group: str
    stored: bool  # was answered 2xx
    notification: Notification

    @property
    def host(self) -> str:
        return self.notification.sender.removeprefix("http://").partition(".")[0]


def requests(stream: str) -> list[Request]:
    path = DATA / "alertmanager" / "streams" / f"{stream}.jsonl.gz"
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        return [_request(json.loads(line)) for line in lines]


def _request(row: Mapping[str, Any]) -> Request:  # as captured
    labels = json.loads(row["body"])["groupLabels"]
    notification = read(row["body"].encode())
    named = [labels[name] for name in ("alertname", "namespace", "region", "idx", "scenario") if name in labels]
    return Request(
        at_s=row["t"],
        # The groups by all labels are told apart by idx; what else they hold is long.
        group=" ".join([notification.receiver, *named[: 2 if "idx" in labels else None]]),
        stored=row["answered"] < 300,
        notification=notification,
    )


@dataclass
class History:
    """What happened, told incident by incident."""

    replay: Replay = field(default_factory=Replay)
    states: list[NotificationState] = field(default_factory=list)
    _events: dict[str, list[str]] = field(default_factory=dict)

    def hear(self, requests: Iterable[Request], *, started_at: datetime) -> None:
        for request in requests:
            decision = self.replay.tell(request.notification, at=started_at + timedelta(seconds=request.at_s))
            self.states.append(decision.state)
            came, went = started(decision), ended(decision)
            counts: dict[str, Counter[str]] = {}
            for verdict in decision.verdicts:
                sign = "+" if verdict.fingerprint in came else "-" if verdict.fingerprint in went else ""
                if sign and verdict.incident is not None:
                    counts.setdefault(verdict.incident, Counter())[sign] += 1
            for incident_id, count in counts.items():
                changes = "".join(f"{sign}{count[sign]}" for sign in "+-" if count[sign])
                self._events.setdefault(incident_id, []).append(f"{request.at_s:.2f} {changes}")

    def lines(self) -> tuple[str, ...]:
        return tuple(
            f"{incident.owner or 'nobody'}: {', '.join(self._events[incident_id])}, {incident.state}, "
            f"told again {incident.repeats}"
            for incident_id, incident in self.replay.incidents.items()
        )


@pytest.fixture(scope="module")
def run() -> Mapping[str, list[Request]]:
    """The run of 0.25.0, by group."""
    groups: dict[str, list[Request]] = {}
    for request in requests("run-v0.25.0"):
        groups.setdefault(request.group, []).append(request)
    return groups


@pytest.mark.parametrize("group", HISTORIES)
def test_run_is_told_as_it_happened(run: Mapping[str, list[Request]], group: str) -> None:
    """The incidents of a group are those of the run: when they came, grew, shrank and ended."""
    heard = History()
    heard.hear(run[group], started_at=RUN_STARTED)
    heard.replay.wait_until(RUN_STARTED + LATER)

    assert heard.lines() == HISTORIES[group]


def test_every_group_of_the_run_has_its_history(run: Mapping[str, list[Request]]) -> None:
    """No group of the run is left out of the table."""
    assert set(HISTORIES) == set(run)


@pytest.mark.parametrize(
    "hosts", [HEALTHY, CUT_OFF, HEALTHY + CUT_OFF], ids=["healthy", "cut off", "both on one router"]
)
@pytest.mark.parametrize("scenario", ["ok healthy", "slow20 slow20", "down down40"])
def test_pair_tells_one_incident(hosts: tuple[str, ...], scenario: str) -> None:
    """However many members tell it, there is one incident, told by the first; the others' words are duplicates."""
    told = [
        request
        for request in requests("ha-pairs")
        if request.group == scenario and request.host in hosts and request.stored
    ]
    heard = History()
    heard.hear(told, started_at=PAIRS_STARTED)

    first, last = told[0].at_s, next(request.at_s for request in told if request.at_s >= 100)
    assert heard.lines() == (f"payments: {first:.2f} +1, {last:.2f} -1, resolved, told again 0",)
    assert heard.states.count(NotificationState.DECIDED) == 2


@pytest.mark.parametrize(
    ("hosts", "told_again"),
    [
        pytest.param(HEALTHY, 0, id="healthy"),
        # The attempts at 11, 21, 36 and 60 s: their bytes are those of a repeat, in this version without a reason, and
        # their distances are those of a group that is repeated every 10 s, as the heartbeat of the other run is.
        pytest.param(CUT_OFF, 4, id="cut off"),
    ],
)
def test_retries_of_stored_notifications_are_no_news(hosts: tuple[str, ...], told_again: int) -> None:
    """Had the router stored what it refused, as when its answers are lost, nothing more would have happened."""
    told = [request for request in requests("ha-pairs") if request.group == "down down40" and request.host in hosts]
    heard = History()
    heard.hear(told, started_at=PAIRS_STARTED)

    assert heard.lines() == (f"payments: {told[0].at_s:.2f} +1, 120.02 -1, resolved, told again {told_again}",)
