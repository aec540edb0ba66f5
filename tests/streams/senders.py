"""A model of Alertmanager in virtual time: when it flushes a group, what it sends, and what it believes was taken.

Written after prometheus/alertmanager's sources, one group and one webhook integration at a time:

- A group is flushed `group_wait` after its first alert came (at once, where that alert is older), then every
  `group_interval`; a flush that takes longer is followed by the next one at once (dispatch/dispatch.go).
- A flush tells what is in the group at its start. It is sent if the notification log does not hold it already, or if
  `repeat_interval` has passed (notify/notify.go, DedupStage.needsUpdate). Silenced alerts are taken out before.
- Anything but an answer of 2xx is tried again with the same bytes, after 0.5 s and ever longer, until
  max(group_interval, 10 s) + position x peer-timeout has passed (notify/notify.go, RetryStage; app.timeoutFunc).
- The members of a pair share the log by gossip, and the second waits for the first (peer-timeout, 15 s).
- A resolved alert leaves its group with the flush that told it, silenced or not. Prometheus sends it again for
  15 minutes, so it enters again and again (rules/alerting.go, resolvedRetention).
- Alerts are only in memory. The log is written to disk every 15 minutes and at SIGTERM (nflog/nflog.go).
"""

import heapq
import json
from bisect import bisect_right
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from random import Random
from typing import Final

START: Final = datetime(2026, 3, 1, tzinfo=UTC)
ZERO_TIME: Final = "0001-01-01T00:00:00Z"
PEER_TIMEOUT_S: Final = 15.0
RETENTION_S: Final = 900.0
SNAPSHOT_S: Final = 900.0

FIRST: Final = "first notification"
ADDED: Final = "new alerts added"
SOME_RESOLVED: Final = "some alerts resolved"
ALL_RESOLVED: Final = "all alerts resolved"
REPEAT: Final = "repeat interval elapsed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """One alert and when it truly fires: (from, until) in seconds, in order, apart from each other."""

    team: str | None
    episodes: tuple[tuple[float, float], ...]
    severity: str = "normal"
    series: int | None = None  # a rule puts its value into a label: each value is an alert of its own
    value: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Restart:
    member: int
    at: float
    up_at: float
    killed: bool  # SIGKILL: what was logged since the last snapshot is forgotten


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """Everything that happens, but for what is left to chance on the way."""

    alerts: tuple[Watched, ...]
    reasons: bool  # Alertmanager >= 0.32
    route_labels: bool = False  # >= 0.34
    group_wait_s: float = 30.0
    group_interval_s: float = 300.0
    repeat_interval_s: float = 4 * 3600.0
    members: int = 1
    gossip: bool = True  # False: the members of the pair are cut off from each other
    answer_s: float = 0.05  # how long the router takes
    outages: tuple[tuple[float, float], ...] = ()  # the router answers 503 and stores nothing
    restarts: tuple[Restart, ...] = ()
    silences: tuple[tuple[int, float, float], ...] = ()  # alert, from, until
    max_alerts: int = 0  # 0: all
    lost_answers: float = 0.0  # probability that a stored notification's answer does not arrive
    lag_s: float = (
        0.0  # how much later the second member hears of what fires, so how far its flushes are off the first's
    )
    held_up: float = 0.0  # probability that a notification is long on its way


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What a body says about one alert, in the world's words: which episode, and whether it is over."""

    alert: int
    episode: int
    resolved: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """One body that was stored."""

    at: float
    member: int
    reason: str  # the true one, whether the version says it or not
    told: tuple[Told, ...]
    truncated: int
    tick: float  # of its flush: what it tells was so then
    retry: bool  # the same bytes were stored before, in the same flush
    body: bytes

    @property
    def received_at(self) -> datetime:
        return instant(self.at)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Logged:
    visible_at: float
    at: float
    firing: frozenset[int]
    resolved: frozenset[int]


@dataclass(slots=True, kw_only=True)
class _Member:
    index: int
    up_at: float = 0.0
    knows_from: float = 0.0  # until then Prometheus has not sent to it since it started
    group: int = 0  # generation of the group it has; 0: none
    log: list[_Logged] = field(default_factory=list)
    flushed: dict[int, int] = field(default_factory=dict)  # alert -> the last episode that left the group as resolved


@dataclass(frozen=True, slots=True, kw_only=True)
class _Flush:
    tick: float
    group: int
    held: tuple[Told, ...]  # all that the group holds
    tells: tuple[Told, ...]  # without what is silenced


def instant(at: float) -> datetime:
    return START + timedelta(microseconds=round(at * 1_000_000))


def owner_of(world: World, alert: int) -> str | None:
    return world.alerts[alert].team


def fingerprint_of(alert: int) -> str:
    return f"{alert:016x}"


def arrivals(world: World, chance: Random) -> list[Arrival]:
    """The bodies of one group that the router stores in this world, in the order in which they come."""
    return _Run(world, chance).arrivals()


class _Run:
    def __init__(self, world: World, chance: Random) -> None:
        self._world = world
        self._chance = chance
        self._begins = [[fires_at + 0.1 for fires_at, _ in watched.episodes] for watched in world.alerts]
        self._edges = sorted(
            [
                *(edge + 0.1 for watched in world.alerts for episode in watched.episodes for edge in episode),
                *(edge for _, *silence in world.silences for edge in silence),
                *(edge for outage in world.outages for edge in outage),
                *(edge for restart in world.restarts for edge in (restart.at, restart.up_at)),
            ]
        )
        self._members = [_Member(index=index) for index in range(world.members)]
        self._events: list[tuple[float, int, int, str, _Flush | Restart | None]] = []
        self._sequence = count()
        self._generations = count(1)
        self._arrived: list[Arrival] = []

    def arrivals(self) -> list[Arrival]:
        for member in self._members:
            for watched in self._world.alerts:
                for fires_at, _ in watched.episodes:
                    self._at(fires_at + 0.1 + (0.2 + self._world.lag_s) * member.index, member, "wake")
        for restart in self._world.restarts:
            self._at(restart.at, self._members[restart.member], "down", restart)
        while self._events:
            at, _, index, kind, what = heapq.heappop(self._events)
            member = self._members[index]
            if isinstance(what, Restart):
                self._restart(member, what)
            elif kind == "wake":
                self._wake(member, at)
            elif kind == "flush" and what is not None and what.group == member.group:
                self._flush(member, at, group=what.group)
            elif kind == "dedup" and what is not None and what.group == member.group:
                self._dedup(member, at, what)
        return sorted(self._arrived, key=lambda arrival: arrival.at)

    def _at(self, at: float, member: _Member, kind: str, what: _Flush | Restart | None = None) -> None:
        heapq.heappush(self._events, (at, next(self._sequence), member.index, kind, what))

    # -- the group -------------------------------------------------------------------------------------------------

    def _wake(self, member: _Member, at: float) -> None:
        """An alert comes from Prometheus: it makes the group, if there is none."""
        if member.group or at < member.knows_from:
            return
        held = self._held(member, at)
        if not held:
            return
        member.group = next(self._generations)
        oldest = min(self._world.alerts[told.alert].episodes[told.episode][0] for told in held)
        wait_s = 0.0 if oldest + self._world.group_wait_s < at else self._world.group_wait_s
        self._next_flush(member, at + wait_s)

    def _next_flush(self, member: _Member, at: float) -> None:
        self._at(at, member, "flush", _Flush(tick=at, group=member.group, held=(), tells=()))

    def _held(self, member: _Member, at: float) -> tuple[Told, ...]:
        """What the member's group holds: what fires, what resolved untold, and some of what is told resolved again."""
        held = []
        for alert, watched in enumerate(self._world.alerts):
            episode = bisect_right(self._begins[alert], at) - 1
            if episode < 0:
                continue
            resolves_at = watched.episodes[episode][1]
            if at < resolves_at + 0.1:
                held.append(Told(alert=alert, episode=episode, resolved=False))
                continue
            sent_again = at < resolves_at + RETENTION_S
            untold = member.flushed.get(alert, -1) < episode
            if (untold and (sent_again or member.up_at <= resolves_at)) or (sent_again and self._chance.random() < 0.7):
                held.append(Told(alert=alert, episode=episode, resolved=True))
        return tuple(held)

    def _silenced(self, alert: int, at: float) -> bool:
        return any(silenced == alert and since <= at < until for silenced, since, until in self._world.silences)

    def _flush(self, member: _Member, at: float, *, group: int) -> None:
        held = self._held(member, at)
        tells = tuple(told for told in held if not self._silenced(told.alert, at))
        flush = _Flush(tick=at, group=group, held=held, tells=tells)
        self._at(at + self._position_s(member), member, "dedup", flush)

    def _position_s(self, member: _Member) -> float:
        return member.index * PEER_TIMEOUT_S if self._world.gossip else 0.0

    def _dedup(self, member: _Member, at: float, flush: _Flush) -> None:
        firing = frozenset(told.alert for told in flush.tells if not told.resolved)
        resolved = frozenset(told.alert for told in flush.tells if told.resolved)
        reason = self._reason(self._entry(member, at), firing, resolved, at=at)
        if not flush.tells or reason is None:
            self._flushed(member, flush, ended_at=at, ticks=self._quiet_ticks(member, at, flush))
            return
        taken, ended_at = self._send(member, at, flush, reason)
        if not taken:
            self._next_flush(member, max(flush.tick + self._world.group_interval_s, ended_at))
            return
        self._log(member, _Logged(visible_at=ended_at, at=ended_at, firing=firing, resolved=resolved))
        self._flushed(member, flush, ended_at=ended_at)

    def _quiet_ticks(self, member: _Member, at: float, flush: _Flush) -> int:
        """After how many ticks something may be different: what goes on firing is flushed thousands of times."""
        if any(told.resolved for told in flush.held) or any(entry.visible_at > at for entry in member.log):
            return 1
        following = bisect_right(self._edges, at)
        # So long what ended is told again, and longer than the other member tries to send what it holds.
        if following and at < self._edges[following - 1] + RETENTION_S:
            return 1
        until = self._edges[following] if following < len(self._edges) else at
        if flush.tells:
            entry = self._entry(member, at)
            until = min(until, at if entry is None else entry.at + self._world.repeat_interval_s)
        return max(1, int((until - flush.tick) // self._world.group_interval_s) - 1)

    def _flushed(self, member: _Member, flush: _Flush, *, ended_at: float, ticks: int = 1) -> None:
        member.flushed.update({told.alert: told.episode for told in flush.held if told.resolved})
        left = [
            told for told in self._held(member, ended_at) if not told.resolved or not self._has_flushed(member, told)
        ]
        if left:
            self._next_flush(member, max(flush.tick + ticks * self._world.group_interval_s, ended_at))
        else:
            member.group = 0

    @staticmethod
    def _has_flushed(member: _Member, told: Told) -> bool:
        return member.flushed.get(told.alert, -1) >= told.episode

    # -- the notification log --------------------------------------------------------------------------------------

    def _entry(self, member: _Member, at: float) -> _Logged | None:
        seen = [entry for entry in member.log if entry.visible_at <= at]
        latest = max(seen, key=lambda entry: entry.at, default=None)
        return latest if latest is not None and latest.at + 2 * self._world.repeat_interval_s > at else None

    def _log(self, member: _Member, entry: _Logged) -> None:
        for one in self._members if self._world.gossip else [member]:
            gossip_s = 0.0 if one is member else 0.2
            one.log.append(
                _Logged(
                    visible_at=entry.visible_at + gossip_s,
                    at=entry.at,
                    firing=entry.firing,
                    resolved=entry.resolved,
                )
            )
            del one.log[:-8]

    def _reason(
        self, entry: _Logged | None, firing: frozenset[int], resolved: frozenset[int], *, at: float
    ) -> str | None:
        """Why the group is told now; None: it is not."""
        if entry is None:
            return FIRST if firing else None
        if not firing <= entry.firing:
            return ADDED if entry.firing else FIRST
        if not firing:
            return ALL_RESOLVED if entry.firing else None
        if not resolved <= entry.resolved:
            return SOME_RESOLVED
        return REPEAT if entry.at < at - self._world.repeat_interval_s else None

    def _restart(self, member: _Member, restart: Restart) -> None:
        member.group = 0
        member.up_at = restart.up_at
        member.knows_from = restart.up_at + self._chance.uniform(0, 60)
        member.flushed.clear()
        peers = [entry for other in self._members if other is not member for entry in other.log]
        if self._world.gossip and peers:
            member.log = peers[-8:]
        elif restart.killed:
            snapshot_at = restart.at - restart.at % SNAPSHOT_S
            member.log = [entry for entry in member.log if entry.at <= snapshot_at]
        self._at(member.knows_from, member, "wake")

    # -- sending ---------------------------------------------------------------------------------------------------

    def _send(self, member: _Member, at: float, flush: _Flush, reason: str) -> tuple[bool, float]:
        """Whether it was taken, as far as the sender learns, and when it stopped trying."""
        world, chance = self._world, self._chance
        shown = flush.tells[: world.max_alerts] if world.max_alerts else flush.tells
        truncated = len(flush.tells) - len(shown)
        body = self._body(member, flush.tick, shown, truncated, reason)
        deadline = flush.tick + max(world.group_interval_s, 10.0) + self._position_s(member)
        ends_at = min([deadline, *(r.at for r in world.restarts if r.member == member.index and r.at > at)])
        backoff_s, stored = 0.5, False
        while at < ends_at:
            if not any(since <= at < until for since, until in world.outages):
                arrives_at = at + chance.uniform(0.001, 0.3)
                if chance.random() < world.held_up:
                    arrives_at = at + chance.uniform(1, max(1.0, deadline - at - 1))
                answered_at = arrives_at + world.answer_s
                if arrives_at < ends_at:
                    self._arrived.append(
                        Arrival(
                            at=arrives_at,
                            member=member.index,
                            reason=reason,
                            told=shown,
                            truncated=truncated,
                            tick=flush.tick,
                            retry=stored,
                            body=body,
                        )
                    )
                    stored = True
                if answered_at >= ends_at:
                    return False, ends_at
                if chance.random() >= world.lost_answers:
                    return True, answered_at
                at = answered_at
            at += backoff_s * chance.uniform(0.5, 1.5)
            backoff_s = min(backoff_s * 1.5, 60.0)
        return False, ends_at

    def _body(self, member: _Member, tick: float, shown: tuple[Told, ...], truncated: int, reason: str) -> bytes:
        body: dict[str, object] = {
            "receiver": "router",
            "status": "resolved" if all(told.resolved for told in shown) else "firing",
            "alerts": [self._told(told, tick) for told in shown],
            "groupLabels": {},
            "commonLabels": {},
            "commonAnnotations": {},
            "externalURL": f"http://alertmanager-{member.index}.example.internal:9093",
            "version": "4",
            "groupKey": "{}:{}",
            "truncatedAlerts": truncated,
        }
        if self._world.reasons:
            body["notification_reason"] = reason
        if self._world.route_labels:
            body["routeLabels"] = {"tier": "one"}
        return json.dumps(body).encode()

    def _told(self, told: Told, tick: float) -> dict[str, object]:
        watched = self._world.alerts[told.alert]
        fires_at, resolves_at = watched.episodes[told.episode]
        return {
            "status": "resolved" if told.resolved else "firing",
            "labels": {
                "alertname": f"Alert{told.alert}" if watched.series is None else f"Series{watched.series}",
                "severity": watched.severity,
                **({"team": watched.team} if watched.team else {}),
                **({"usage": watched.value} if watched.value else {}),
            },
            # A value in an annotation is another one at each evaluation, and told with whatever is told.
            "annotations": {"summary": f"{tick:.0f} in the queue"},
            "startsAt": instant(fires_at).isoformat(),
            "endsAt": instant(resolves_at).isoformat() if told.resolved else ZERO_TIME,
            "generatorURL": "",
            "fingerprint": fingerprint_of(told.alert),
        }
