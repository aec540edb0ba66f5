"""What time does to an incident: it becomes stale, a snooze ends, and what nobody takes goes further, step by step.

Pure: `look` is asked whenever one is due, and gives the incident as it is from now on, with when to look next.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from router.core.enrichment import parse_duration, respond_until
from router.core.escalation_policy import FALLBACK, LEAD, PARENT, QUIET, EscalationPolicy
from router.core.history import Escalation, EscalationReason, Event
from router.core.incidents import Incident, noted, stale_at
from router.core.model import Hours, IncidentState, Level
from router.core.ownership import OwnershipMap, Team
from router.core.routing import Wanted, messages_of, replies_of

# From a moment on at which people could not have answered before: the router stood still, or its clock or its map was
# another one. And at least so long between two steps, unless the map itself is faster: after a night without a router
# nobody is to be called by three steps at once, the first of which would have been enough.
GRACE: Final = timedelta(minutes=5)

# Somebody was called by these, or nothing was known for a while: the wait for an acknowledgement begins anew.
ANEW: Final = frozenset({Event.WORSE, Event.SNOOZE_OVER, Event.HEARD_AGAIN})


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """Who is told next, and where."""

    to: str  # as the map names it: lead, parent, fallback, or a team
    team: str | None  # whose people are called; None: whoever watches the fallback channel
    channel_id: str
    mention: str | None  # as in the map


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What is known beside the incident itself."""

    opened_in_window: int = 1  # incidents of this share of its group in the policy's window, this one included
    called: frozenset[str] = frozenset()  # channels that those before it called in that window, because it came again
    stand_in: str | None = None  # where another message stands for the owner's, whose channel refused
    rhythm: timedelta | None = None  # of its group, see Telling


@dataclass(frozen=True, slots=True, kw_only=True)
class Since:
    """Since when what is seen can be relied on."""

    listening: datetime  # without a gap: what was told before may have been missed
    judging: datetime  # by this map and this clock; not before `listening`


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What came of a look at one incident."""

    incident: Incident  # with the time of the next look
    changed: bool  # apart from that time
    wanted: tuple[Wanted, ...] = ()
    taken: tuple[Escalation, ...] = ()
    went_stale: bool = False


def look(incident: Incident, *, facts: Facts, ownership: OwnershipMap, since: Since, now: datetime) -> Look:
    """What time has done to an incident until now. Looking twice changes nothing.

    At most one step at a time. What is stale may not fire any more, so nobody is called for it; who acknowledged it
    takes care of it; who snoozed it will be called again.
    """
    if incident.state is not IncidentState.OPEN:
        return _looked(incident, incident, None, now)
    current = _waiting(incident)

    ends_hearing = _stale_at(current, facts, since, now)
    if ends_hearing is not None and ends_hearing <= now:
        stale = noted(replace(current, state=IncidentState.STALE), Event.STALE, at=now)
        return _looked(incident, stale, None, now)

    if current.snoozed is not None:
        if now < current.snoozed.until:
            return _looked(incident, current, _earliest(ends_hearing, current.snoozed.until), now)
        current = replace(current, snoozed=None, waiting_since=now)
        current = noted(current, Event.SNOOZE_OVER, at=now, mention=_mention_of_owner(current, ownership))

    if current.acknowledged is not None:
        return _looked(incident, current, ends_hearing, now)

    reminder_at = _reminder_at(current, ownership, since, now)
    if reminder_at is not None and reminder_at <= now:
        current, reminder_at = _escalated(current, _triage(current, ownership, now)), None

    due = _next_step(current, facts=facts, ownership=ownership, since=since, now=now)
    if due is not None and due.at <= now:
        current = _escalated(current, due.taken(now))
        due = _next_step(current, facts=facts, ownership=ownership, since=since, now=now)
    return _looked(incident, current, _earliest(ends_hearing, reminder_at, due.at if due is not None else None), now)


def chain(
    ownership: OwnershipMap, owner: str | None, level: Level, *, channel_id: str, stand_in: str | None = None
) -> tuple[Step, ...]:
    """Who is told of an incident of `owner` one after the other, by the map in force: never a channel twice.

    `channel_id` is where its message stands; only its lead is called there. In `stand_in` another one stands for it.
    Nobody for what nobody owns: that is in the fallback channel already.
    """
    if owner is None:
        return ()
    team = ownership.team(owner)  # None: it is not in the map any more
    found: dict[str, Step] = {}
    for to in policy_for(ownership, owner, level).then:
        step = _step(to, ownership, team, level, channel_id)
        if step is None or (to != LEAD and step.channel_id in (channel_id, stand_in)):
            continue
        found.setdefault(step.channel_id, step)
    return tuple(found.values())


def policy_for(ownership: OwnershipMap, owner: str | None, level: Level) -> EscalationPolicy:
    """When others are told of an incident of `owner`, by the map in force; of one that is gone, by its successor's."""
    team = ownership.team(owner) if owner is not None else None
    return ownership.escalation_of(team.id if team is not None else None, level)


def _step(to: str, ownership: OwnershipMap, owner: Team | None, level: Level, channel_id: str) -> Step | None:
    """None if it leads to nobody, or to the owner itself."""
    if to == FALLBACK:
        fallback = ownership.fallback
        handle = fallback.mention.handle if fallback.mention is not None else None
        return Step(to=to, team=None, channel_id=fallback.channel.id, mention=handle)
    if to == LEAD:
        lead = owner.lead_in_slack if owner is not None else None
        return Step(to=to, team=owner.id, channel_id=channel_id, mention=lead) if owner is not None and lead else None
    name = (owner.parent if owner is not None else None) if to == PARENT else to
    team = ownership.team(name) if name is not None else None
    channel = team.channel_for(level) if team is not None else None
    if team is None or team is owner or channel is None:
        return None
    handle = team.mention.handle if team.mention is not None else None
    return Step(to=to, team=team.id, channel_id=channel.id, mention=handle)


# -- steps ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class _Due:
    """A step that is taken at a time, unless somebody acknowledges before."""

    at: datetime
    place: int  # in the chain, from 0
    step: Step
    reason: EscalationReason
    count: int = 0

    def taken(self, now: datetime) -> Escalation:
        return Escalation(
            step=self.place,
            to=self.step.to,
            team=self.step.team,
            channel_id=self.step.channel_id,
            reason=self.reason,
            at=now,
            count=self.count,
            mention=self.step.mention,
        )


def _next_step(
    incident: Incident, *, facts: Facts, ownership: OwnershipMap, since: Since, now: datetime
) -> _Due | None:
    """The step that comes next: because it came again so often, or because nobody acknowledged."""
    steps = chain(ownership, incident.owner, incident.severity, channel_id=incident.channel_id, stand_in=facts.stand_in)
    # Known by their word and their channel, not by their place: the map or the severity may have changed, and what was
    # taken stays taken.
    words = {escalation.to for escalation in incident.escalations}
    channels = {escalation.channel_id for escalation in incident.escalations}
    left = [
        (place, step) for place, step in enumerate(steps) if step.to not in words and step.channel_id not in channels
    ]
    if not left or incident.owner is None:
        return None
    team, policy = ownership.team(incident.owner), policy_for(ownership, incident.owner, incident.severity)
    not_before = _not_before(incident, since, now, pause=_pause(policy))

    again = _came_again(incident, facts)
    for place, step in left:
        often = policy.repeats is not None and again >= policy.repeats.count * (place + 1)
        if often and step.channel_id not in facts.called:
            return _Due(at=not_before, place=place, step=step, reason=EscalationReason.REPEATED, count=again)
    if policy.within is None:
        return None
    begins = _waits_since(incident, since, now)
    # Those called since then were waited for, one after the other; before it they were other people's wait.
    waits = 1 + sum(escalation.at >= begins for escalation in incident.escalations)
    at = _deadline(policy, ownership, team, begins=begins, waits=waits, now=now)
    place, step = left[0]
    return _Due(at=max(at, not_before), place=place, step=step, reason=EscalationReason.UNACKNOWLEDGED)


def _came_again(incident: Incident, facts: Facts) -> int:
    """How often it was told again while it fires, or fired again, whichever is more."""
    return max(incident.repeats, facts.opened_in_window - 1 + incident.flaps)


def _deadline(
    policy: EscalationPolicy, ownership: OwnershipMap, team: Team | None, *, begins: datetime, waits: int, now: datetime
) -> datetime:
    """When so many waits of the policy are over, one after the other."""
    at = begins
    for _ in range(policy.times * waits):
        at = _after(at, policy.within, policy.hours, ownership, team)
        if at - now > _FAR:
            break  # it is asked again by then
    return at


_FAR: Final = timedelta(days=365)


def _after(at: datetime, within: str | None, hours: Hours, ownership: OwnershipMap, team: Team | None) -> datetime:
    over = respond_until(
        at,
        within=within,
        hours=hours,
        timezone=ownership.timezone if team is None else team.timezone,
        business_hours=ownership.business_hours if team is None else team.business_hours,
    )
    return at if over is None else over


def _pause(policy: EscalationPolicy) -> timedelta:
    """At least between two steps."""
    if policy.within is None:
        return GRACE
    return min(GRACE, max(parse_duration(policy.within).total * policy.times, _LEAST))


_LEAST: Final = timedelta(minutes=1)  # a deadline may be no time at all


def _not_before(incident: Incident, since: Since, now: datetime, *, pause: timedelta = GRACE) -> datetime:
    """Before this nobody is called further."""
    begins = _waits_since(incident, since, now)
    # Where it began anew by a word that its people heard; the next time of what flaps calls nobody.
    told = any(happening.event in ANEW and happening.at == incident.waiting_since for happening in incident.history)
    not_before = [begins + pause if told else begins]
    if begins < since.judging:
        not_before.append(since.judging + GRACE)
    not_before += [escalation.at + pause for escalation in incident.escalations if escalation.at <= now]
    return max(not_before)


def _escalated(incident: Incident, escalation: Escalation) -> Incident:
    """It calls by a reply where its own message stands; elsewhere a message of its own does."""
    there = escalation.channel_id == incident.channel_id
    return noted(
        replace(incident, escalations=(*incident.escalations, escalation)),
        Event.ESCALATED,
        at=escalation.at,
        team=escalation.team,
        channel_id=escalation.channel_id,
        mention=escalation.mention if there else None,
        reason=escalation.reason,
        count=escalation.count,
    )


# -- triage --------------------------------------------------------------------------------------------------------


def _reminder_at(incident: Incident, ownership: OwnershipMap, since: Since, now: datetime) -> datetime | None:
    """When the fallback is reminded, once, that nobody owns it yet; in the business hours of the defaults."""
    within = ownership.fallback.triage_within
    reminded = any(escalation.reason is EscalationReason.ORPHANED for escalation in incident.escalations)
    if incident.owner is not None or within is None or reminded or incident.severity in QUIET:
        return None
    at = _after(_waits_since(incident, since, now), within, Hours.BUSINESS, ownership, None)
    return max(at, _not_before(incident, since, now))


def _triage(incident: Incident, ownership: OwnershipMap, now: datetime) -> Escalation:
    mention = ownership.fallback.mention
    return Escalation(
        step=0,
        to=FALLBACK,
        channel_id=incident.channel_id,
        reason=EscalationReason.ORPHANED,
        at=now,
        mention=mention.handle if mention is not None else None,
    )


# -- time ----------------------------------------------------------------------------------------------------------


def _waiting(incident: Incident) -> Incident:
    """With the time since when somebody is waited for, kept: its history is not kept for ever."""
    began = _began(incident)
    anew = max((happening.at for happening in incident.history if happening.event in ANEW), default=began)
    return replace(incident, waiting_since=anew) if anew > began else incident


def _began(incident: Incident) -> datetime:
    """For a new owner it opened anew, whatever the one before was waited for."""
    return max(incident.opened_at, incident.waiting_since or incident.opened_at)


def _waits_since(incident: Incident, since: Since, now: datetime) -> datetime:
    return _past(_began(incident), since.judging, now)


def _stale_at(incident: Incident, facts: Facts, since: Since, now: datetime) -> datetime | None:
    """When it is stale. A router that did not listen cannot tell the silence of others from its own."""
    heard_at = _past(incident.heard_at or incident.updated_at, since.listening, now)
    return stale_at(replace(incident, heard_at=max(heard_at, since.listening)), rhythm=facts.rhythm)


def _past(at: datetime, otherwise: datetime, now: datetime) -> datetime:
    """`at`, unless it is still to come: then the clock was set back, and says nothing of it."""
    return at if at <= now else otherwise


def _earliest(*times: datetime | None) -> datetime | None:
    return min((at for at in times if at is not None), default=None)


def _mention_of_owner(incident: Incident, ownership: OwnershipMap) -> str | None:
    team = ownership.team(incident.owner) if incident.owner is not None else None
    mention = team.mention if team is not None else ownership.fallback.mention
    return mention.handle if mention is not None else None


def _looked(before: Incident, after: Incident, due_at: datetime | None, now: datetime) -> Look:
    if after.happened == before.happened:  # nothing that anybody is shown
        return Look(incident=replace(after, due_at=due_at), changed=after != before)
    after = replace(after, revision=after.revision + 1, updated_at=now, due_at=due_at)
    return Look(
        incident=after,
        changed=True,
        wanted=(*messages_of(after, noted=True), *replies_of(before, after)),
        taken=after.escalations[len(before.escalations) :],
        went_stale=after.state is IncidentState.STALE,
    )
