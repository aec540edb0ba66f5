"""Who has an open incident, and with which hints, where a changed map or a person says something new. Pure."""

from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from router.core.history import Assignment
from router.core.incidents import Explanation, Incident, Move, Tracked, most_urgent
from router.core.model import Alert, IncidentState, Level, MessageKind, Resolution, Urgency
from router.core.routing import Wanted, messages_of
from router.core.shares import Ownership, copies_of, explanation_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What a firing alert was told with: what the map is asked with again."""

    alert: Alert
    route_labels: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reassignment:
    """The incidents as they are from now on, and the messages that have to say so."""

    incidents: tuple[Incident, ...]
    wanted: tuple[Wanted, ...] = ()
    moves: tuple[Move, ...] = ()


def reassign(
    incident: Incident,
    *,
    siblings: Iterable[Incident],
    evidence: Mapping[str, Evidence],
    ownership: Ownership,
    now: datetime,
) -> Reassignment:
    """Resolve the firing alerts of an open incident again.

    `siblings` are the other open incidents of its group, `evidence` is by fingerprint; an alert without any, whose body
    is gone, stays where it is. So does one that the new map drops: people know of it and must see how it ends. So does
    what a person gave to its owner, until the map says something else than it said then.
    """
    answers = {
        fingerprint: ownership.resolve(
            told.alert.labels, told.alert.annotations, today=now.date(), route_labels=told.route_labels
        )
        for fingerprint, tracked in incident.alerts.items()
        if tracked.firing and (told := evidence.get(fingerprint)) is not None
    }
    answers = {fingerprint: answer for fingerprint, answer in answers.items() if not answer.dropped}
    assigned = _still_assigned(incident.assigned, answers.values())
    here = {_place(incident), *([] if assigned is None else [(assigned.instead_of, assigned.channel_id)])}
    stay = {
        fingerprint: replace(incident.alerts[fingerprint], explanation=explanation_of(answer))
        for fingerprint, answer in answers.items()
        if _destination(answer) in here
    }
    leave = {fingerprint: answer for fingerprint, answer in answers.items() if _destination(answer) not in here}
    remaining = _remaining(
        replace(incident, assigned=assigned),
        stay,
        [answers[name] for name in stay],
        revision=ownership.revision,
        now=now,
    )
    if not leave:
        shows_more = _shown(remaining) != _shown(incident)
        if not shows_more:  # only where an entry stands, perhaps: told with the next change
            return Reassignment(incidents=(replace(remaining, revision=incident.revision),))
        return Reassignment(incidents=(remaining,), wanted=tuple(messages_of(remaining)))
    return _moved(incident, remaining, leave, siblings, revision=ownership.revision, now=now)


def hand_over(
    incident: Incident, *, owner: str, channel_id: str, assigned: Assignment | None, now: datetime
) -> Reassignment:
    """A person said that an incident is `owner`'s: a new one there has all that fires, and this one ends.

    A new one also where `owner` has another incident of the group: that one is by the map, and this one is not. The
    explanations of the alerts stay as they are; `assigned` is None where the map says the same.
    """
    firing = {name: tracked for name, tracked in incident.alerts.items() if tracked.firing}
    move = Move(
        incident=f"{incident.id}.{len(incident.moved_to) + 1}", owner=owner, channel_id=channel_id, alerts=len(firing)
    )
    given = _opened(
        incident,
        firing,
        (owner, channel_id),
        incident.copies,
        id=move.incident,
        revision=incident.map_revision,
        now=now,
    )
    changed = replace(incident, revision=incident.revision + 1, updated_at=now)
    left = _left(changed, firing, [move], before=incident.map_revision, now=now)
    return Reassignment(
        incidents=(left, replace(given, assigned=assigned)),
        wanted=(*messages_of(left), *messages_of(given)),
        moves=(move,),
    )


def _still_assigned(assigned: Assignment | None, answers: Iterable[Resolution]) -> Assignment | None:
    """What a person said holds while the map answers as it did then; also while nobody can ask it, without a body."""
    if assigned is None:
        return None
    said = [_destination(answer) for answer in answers]
    return assigned if not said or (assigned.instead_of, assigned.channel_id) in said else None


def _place(incident: Incident) -> tuple[str | None, str]:
    return incident.owner, incident.channel_id


def _destination(resolution: Resolution) -> tuple[str | None, str]:
    return resolution.owner, resolution.destinations[0].channel.id


def _remaining(
    incident: Incident, stay: Mapping[str, Tracked], answers: Iterable[Resolution], *, revision: str, now: datetime
) -> Incident:
    """The incident under the new map. Channels that had a copy keep it: it has to be kept true until the end."""
    copies = [*incident.copies, *(channel_id for answer in answers for channel_id in copies_of(answer))]
    return replace(
        _with(incident, {**incident.alerts, **stay}, now=now),
        copies=tuple(dict.fromkeys(channel_id for channel_id in copies if channel_id != incident.channel_id)),
        revision=incident.revision + 1,
        updated_at=now,
        map_revision=revision,
    )


def _with(incident: Incident, alerts: Mapping[str, Tracked], *, now: datetime) -> Incident:
    """It with these alerts. Its severity says how long it waits for somebody: timers look at it at once."""
    severity = _severity(alerts)
    is_due = severity is not incident.severity and incident.state is IncidentState.OPEN
    return replace(incident, alerts=alerts, severity=severity, due_at=now if is_due else incident.due_at)


def _severity(alerts: Mapping[str, Tracked]) -> Level:
    firing = [tracked for tracked in alerts.values() if tracked.firing]
    return most_urgent([tracked.explanation.hints.severity for tracked in firing or alerts.values()])


def _shown(incident: Incident) -> object:
    """What people would see change. The line of an entry changes with every edit above it, and is not worth a call."""
    hints = {name: tracked.explanation.hints for name, tracked in incident.alerts.items()}
    return incident.copies, incident.assigned, hints


def _moved(
    incident: Incident,
    remaining: Incident,
    leave: Mapping[str, Resolution],
    siblings: Iterable[Incident],
    *,
    revision: str,
    now: datetime,
) -> Reassignment:
    # What a person gave to its owner takes nothing from the map: it may go elsewhere as a whole.
    open_by_place = {_place(sibling): sibling for sibling in siblings if not sibling.ended and sibling.assigned is None}
    groups: dict[tuple[str | None, str], dict[str, Resolution]] = {}
    for fingerprint, answer in leave.items():
        groups.setdefault(_destination(answer), {})[fingerprint] = answer
    receiving: list[Incident] = []
    moves: list[Move] = []
    for place, answers in groups.items():
        number = len(incident.moved_to) + len(moves) + 1
        target = _receiving(
            incident, open_by_place.get(place), answers, id=f"{incident.id}.{number}", revision=revision, now=now
        )
        receiving.append(target)
        owner, channel_id = place
        moves.append(Move(incident=target.id, owner=owner, channel_id=channel_id, alerts=len(answers)))
    left = _left(remaining, leave, moves, before=incident.map_revision, now=now)
    # A new incident calls its owner by its own message. One that is only edited calls nobody: so it gets a reply too.
    replies = [
        left,
        *(target for target in receiving if target.id in {sibling.id for sibling in open_by_place.values()}),
    ]
    wanted = [message for one in (left, *receiving) for message in messages_of(one)]
    wanted += [
        Wanted(incident=one.id, kind=MessageKind.MOVED, channel_id=one.channel_id, urgency=Urgency.REPLY)
        for one in replies
    ]
    return Reassignment(incidents=(left, *receiving), wanted=tuple(wanted), moves=tuple(moves))


def _receiving(
    incident: Incident,
    existing: Incident | None,
    answers: Mapping[str, Resolution],
    *,
    id: str,
    revision: str,
    now: datetime,
) -> Incident:
    """The incident that gets the alerts: a new one, which calls its owner, or the one that is open there already."""
    explanations: dict[Explanation, Explanation] = {}
    arriving = {}
    for fingerprint, answer in answers.items():
        explanation = explanation_of(answer)
        arriving[fingerprint] = replace(
            incident.alerts[fingerprint], explanation=explanations.setdefault(explanation, explanation)
        )
    copies = [channel_id for answer in answers.values() for channel_id in copies_of(answer)]
    if existing is not None:
        moved_from = Move(
            incident=incident.id, owner=incident.owner, channel_id=incident.channel_id, alerts=len(answers)
        )
        return replace(
            _with(existing, {**existing.alerts, **arriving}, now=now),
            # Of one that is not heard of any more something is known again, where what comes is.
            state=incident.state if existing.state is IncidentState.STALE else existing.state,
            copies=tuple(dict.fromkeys([*existing.copies, *copies])),
            revision=existing.revision + 1,
            updated_at=now,
            moved_from=(*existing.moved_from, moved_from),
        )
    return _opened(
        incident, arriving, _destination(next(iter(answers.values()))), copies, id=id, revision=revision, now=now
    )


def _opened(
    incident: Incident,
    arriving: Mapping[str, Tracked],
    place: tuple[str | None, str],
    copies: Iterable[str],
    *,
    id: str,
    revision: str,
    now: datetime,
) -> Incident:
    """A new incident with alerts that `incident` had."""
    owner, channel_id = place
    return replace(
        incident,
        id=id,
        owner=owner,
        channel_id=channel_id,
        copies=tuple(dict.fromkeys(copy for copy in copies if copy != channel_id)),
        state=IncidentState.OPEN,
        severity=_severity(arriving),
        opened_at=now,  # for the new owner the clock starts now; the alerts say since when they fire
        updated_at=now,
        closed_at=None,
        alerts=arriving,
        repeats=0,
        revision=1,
        map_revision=revision,
        moved_to=(),
        moved_from=(
            Move(incident=incident.id, owner=incident.owner, channel_id=incident.channel_id, alerts=len(arriving)),
        ),
        handed_over=False,
        # What people and timers did about it they did about the other owner's.
        due_at=now,
        waiting_since=None,
        history=(),
        happened=0,
        escalations=(),
        acknowledged=None,
        snoozed=None,
        assigned=None,
        flaps=0,
    )


def _left(remaining: Incident, leave: Container[str], moves: list[Move], *, before: str, now: datetime) -> Incident:
    """The incident without what moved. What has nothing else that fires ends, and shows what it handed over.

    That was there by the map `before`, and by what that one said.
    """
    staying = {name: tracked for name, tracked in remaining.alerts.items() if name not in leave}
    moved_to = (*remaining.moved_to, *moves)
    if any(tracked.firing for tracked in staying.values()):
        return replace(_with(remaining, staying, now=now), moved_to=moved_to)
    return replace(
        remaining,
        state=IncidentState.RESOLVED,
        closed_at=now,
        moved_to=moved_to,
        handed_over=True,
        map_revision=before,
        due_at=None,
    )
