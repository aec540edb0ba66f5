"""What people do about an incident: acknowledge it, let it rest for a while, say that it is another team's. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from router.core.history import Acknowledgement, Assignment, Event, Snooze
from router.core.incidents import Incident, Move, noted
from router.core.ownership import OwnershipMap, Team
from router.core.quoting import did_you_mean, quoted
from router.core.reassignment import hand_over
from router.core.routing import Wanted, messages_of, replies_of

SHORTEST_SNOOZE: Final = timedelta(minutes=5)
# Whoever wants it longer has to say so again: nobody remembers a snooze of a month ago.
LONGEST_SNOOZE: Final = timedelta(days=7)


class ActionKind(StrEnum):
    """Also the `action_id` of a control in Slack, and the command of `router incident`."""

    ACK = "ack"
    DISOWN = "disown"
    SNOOZE = "snooze"
    WAKE = "wake"  # end a snooze


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """What a person wants done about an incident."""

    incident: str
    kind: ActionKind
    by: str  # a Slack user's id, or a name from the command line
    at: datetime
    team: str | None = None  # DISOWN: whose it is; an id or an alias, as it was picked or typed
    lasts: timedelta | None = None  # SNOOZE: for how long from `at`


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What came of an action, in words for who did it. Nothing changes where it is not `done`."""

    done: bool
    words: str
    incidents: tuple[Incident, ...] = ()  # those that changed
    wanted: tuple[Wanted, ...] = ()
    moves: tuple[Move, ...] = ()


def refused(words: str) -> Result:
    return Result(done=False, words=words)


def apply(action: Action, incident: Incident, *, ownership: OwnershipMap, now: datetime) -> Result:
    """What `action` changes about `incident`, which is as all actions before it left it."""
    if incident.ended:
        return refused(_over(incident, ownership))
    match action.kind:
        case ActionKind.ACK:
            return _acknowledged(action, incident, now=now)
        case ActionKind.SNOOZE:
            return _snoozed(action, incident, now=now)
        case ActionKind.WAKE:
            return _woken(action, incident, now=now)
        case ActionKind.DISOWN:
            return _disowned(action, incident, ownership, now=now)


def _over(incident: Incident, ownership: OwnershipMap) -> str:
    if incident.handed_over and incident.moved_to:
        move = incident.moved_to[-1]
        return f"it went over to {_name(move.owner, ownership)} already: that is incident {move.incident}"
    return f"it resolved already, at {_time(incident.closed_at)}" if incident.closed_at else "it resolved already"


def _acknowledged(action: Action, incident: Incident, *, now: datetime) -> Result:
    before = incident.acknowledged
    if before is not None and before.by == action.by:
        return Result(done=True, words=f"you acknowledged it already, at {_time(before.at)}")
    if before is not None:
        return refused(f"{before.by} acknowledged it already, at {_time(before.at)}")
    # Who takes it now need not be reminded at the end of somebody's snooze.
    after = replace(incident, acknowledged=Acknowledgement(by=action.by, at=action.at), snoozed=None)
    after = noted(after, Event.ACKNOWLEDGED, at=action.at, by=action.by)
    return _done(incident, after, "acknowledged: it goes no further", now=now)


def snooze_refusal(lasts: timedelta | None) -> str | None:
    """Why nothing can be snoozed for so long; None: it can."""
    if lasts is None:
        return "for how long?"
    if lasts < SHORTEST_SNOOZE:
        return "a snooze lasts 5 minutes at least"
    return "a snooze lasts 7 days at most" if lasts > LONGEST_SNOOZE else None


def _snoozed(action: Action, incident: Incident, *, now: datetime) -> Result:
    refusal = snooze_refusal(action.lasts)
    if refusal is not None or action.lasts is None:
        return refused(refusal or "")
    until = action.at + action.lasts
    if until <= now:
        return refused(f"it would be over already: that was asked for at {_time(action.at)}")
    after = replace(incident, snoozed=Snooze(by=action.by, at=action.at, until=until))
    after = noted(after, Event.SNOOZED, at=action.at, by=action.by, until=until)
    return _done(incident, after, f"snoozed until {_time(until)}", now=now)


def _woken(action: Action, incident: Incident, *, now: datetime) -> Result:
    if incident.snoozed is None:
        return refused("it is not snoozed")
    after = noted(replace(incident, snoozed=None), Event.SNOOZE_OVER, at=action.at, by=action.by)
    return _done(incident, after, "its snooze is over", now=now)


def _done(before: Incident, changed: Incident, words: str, *, now: datetime) -> Result:
    """Timers look at it at once: they know when it is due next."""
    after = replace(changed, revision=before.revision + 1, updated_at=now, due_at=now)
    wanted = (*messages_of(after, noted=True), *replies_of(before, after))
    return Result(done=True, words=words, incidents=(after,), wanted=wanted)


# -- whose it is -------------------------------------------------------------------------------------------------------


def _disowned(action: Action, incident: Incident, ownership: OwnershipMap, *, now: datetime) -> Result:
    named = action.team or ""
    team = ownership.team(named)
    if team is None or team.channel is None:
        advice = did_you_mean(named, _names(ownership.teams.values()))
        return refused(f"the map has no team {quoted(named)}" + (f"; {advice}" if advice else ""))
    succeeded = _succeeded(named, team, ownership)
    if team.id == incident.owner:
        return refused(f"{succeeded}{team.name} has it already")
    if not incident.firing:
        return refused("nothing of it fires")
    channel = team.channel_for(incident.severity) or team.channel
    by_map = _by_map(incident)
    given = hand_over(
        incident,
        owner=team.id,
        channel_id=channel.id,
        assigned=None
        if (team.id, channel.id) == by_map
        else Assignment(by=action.by, at=action.at, instead_of=by_map[0], channel_id=by_map[1]),
        now=now,
    )
    left, *others = given.incidents
    told = noted(left, Event.DISOWNED, at=action.at, by=action.by, team=team.id)
    (move,) = given.moves
    return Result(
        done=True,
        words=f"{succeeded}it is {team.name}'s now, in #{channel.name}: incident {move.incident}",
        incidents=(told, *others),
        wanted=(*given.wanted, *replies_of(left, told)),
        moves=given.moves,
    )


def _names(teams: Iterable[Team]) -> list[str]:
    """Everything that teams answer to."""
    return [name for team in teams for name in (team.id, *team.aliases)]


def _by_map(incident: Incident) -> tuple[str | None, str]:
    """Where the map puts it, whatever people said since."""
    if incident.assigned is not None:
        return incident.assigned.instead_of, incident.assigned.channel_id
    return incident.owner, incident.channel_id


def _succeeded(named: str, team: Team, ownership: OwnershipMap) -> str:
    """What to say first where the team that was named is no more."""
    old = next((one for one in ownership.teams.values() if named in (one.id, *one.aliases)), None)
    if old is None or old.active:
        return ""
    return f"{old.name} was dissolved, and {team.name} took over: "


def _name(owner: str | None, ownership: OwnershipMap) -> str:
    team = ownership.teams.get(owner) if owner is not None else None
    return team.name if team is not None else owner or "nobody"


def _time(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M} UTC"
