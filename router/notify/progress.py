"""What people and timers did about an incident, in words: said by its messages, and by what is read aloud of them."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from router.core.history import EscalationReason
from router.core.message_card import CardEscalation
from router.core.model import Channel, MessageKind
from router.notify import markup
from router.notify.facts import Facts


@dataclass(frozen=True, slots=True, kw_only=True)
class Voice:
    """How a name, an instant and a strong word are written where a line stands."""

    limit: int
    spoken: bool = False  # aloud: without tokens, and without marks

    def person(self, facts: Facts, by: str) -> str:
        """A Slack user's token shows the name. It would call, too, so it is never in the text beside blocks."""
        token = markup.person(by)
        if token is not None:
            return facts.words.colleague if self.spoken else token
        return markup.prose(by, self.limit) or facts.words.colleague

    def instant(self, facts: Facts, instant: datetime) -> str:
        return facts.clock(instant) if self.spoken else facts.moment(instant)

    def template(self, template: str) -> str:
        return template.replace("*", "") if self.spoken else template


def news(facts: Facts, voice: Voice, *, steps: int = 3) -> Iterator[str]:
    """What is to be known besides that it fires: whose it is by a person's word, who has it, who was told.

    The last `steps` of the escalation are told one by one, the others are counted.
    """
    for sign, line in (*_said(facts, voice), *_standing(facts, voice), *_steps(facts, voice, steps)):
        yield line if voice.spoken else f"{sign} {line}"


def _said(facts: Facts, voice: Voice) -> Iterator[tuple[str, str]]:
    card, words = facts.card, facts.words
    if card.assigned is None or not facts.open:
        return
    by = voice.person(facts, card.assigned.by)
    if card.kind is not MessageKind.ROOT or card.undelivered is not None:  # read by others than the owner
        whose = words.of_whom(owner_of(facts, voice.limit))
        yield "➡️", voice.template(words.said_whose).format(by=by, whose=whose)
    elif card.assigned.instead_of is None:
        yield "➡️", voice.template(words.said_yours_of_nobody).format(by=by)
    else:
        team = markup.prose(card.assigned_instead_of or card.assigned.instead_of, voice.limit)
        yield "➡️", voice.template(words.said_yours).format(by=by, whose=words.of_whom(team))


def _standing(facts: Facts, voice: Voice) -> Iterator[tuple[str, str]]:
    card, words = facts.card, facts.words
    if facts.over and card.newer_run_at is not None:
        yield "✅", voice.template(words.newer_run).format(when=voice.instant(facts, card.newer_run_at))
    if facts.over and card.flaps:
        yield "🎢", words.counted(voice.template(words.flapped), card.flaps)
    if not facts.open:
        yield from _had(facts, voice)
        return
    # Where it was escalated to, this is why nothing is left to do there: it is said first.
    if card.acknowledged is not None and card.kind is not MessageKind.ESCALATED:
        by, when = voice.person(facts, card.acknowledged.by), voice.instant(facts, card.acknowledged.at)
        yield "👤", voice.template(words.acknowledged).format(by=by, when=when)
    if card.snoozed is not None:
        by, when = voice.person(facts, card.snoozed.by), voice.instant(facts, card.snoozed.until)
        yield "⏸️", voice.template(words.snoozed).format(by=by, when=when)
    if card.flaps:
        yield "🎢", words.counted(voice.template(words.flapping), card.flaps)
    if card.truncated:
        told = words.all_told_resolved if facts.all_told_resolved else words.partial
        yield "✂️", words.counted(voice.template(told), card.truncated)
    if card.unheard:
        yield "🔇", words.counted(voice.template(words.unheard), card.unheard, total=card.firing)


def _had(facts: Facts, voice: Voice) -> Iterator[tuple[str, str]]:
    """Who had it until it ended: the thread, which calls nobody by a token, says that they are named here."""
    card, words = facts.card, facts.words
    if card.acknowledged is not None:
        by, when = voice.person(facts, card.acknowledged.by), voice.instant(facts, card.acknowledged.at)
        yield "👤", voice.template(words.was_acknowledged).format(by=by, when=when)
    if card.snoozed is not None:
        by, when = voice.person(facts, card.snoozed.by), voice.instant(facts, card.snoozed.until)
        yield "⏸️", voice.template(words.was_snoozed).format(by=by, when=when)


def why_escalated(facts: Facts, taken: CardEscalation, voice: Voice) -> str:
    """The sentence for whoever is called by this step."""
    words = facts.words
    owner = owner_of(facts, voice.limit)
    step = taken.escalation
    template = (
        words.fires_again_why if _came_again(facts, step.reason, step.count) else words.escalation_whys[step.reason]
    )
    span = _until(facts, step.at)
    return template.format(owner=owner, n=step.count, duration=words.duration(span), period=words.lasting(span))


def reason(facts: Facts, why: EscalationReason, *, count: int, at: datetime) -> str:
    """Why a step was taken, in few words."""
    words = facts.words
    template = words.fired_again if _came_again(facts, why, count) else words.escalation_reasons[why]
    span = _until(facts, at)
    return template.format(n=count, duration=words.duration(span), period=words.lasting(span))


def called(facts: Facts, taken: CardEscalation, voice: Voice) -> str:
    """Whom a step calls, and where."""
    words, channel = facts.words, channel_of(taken.channel, voice.limit)
    if taken.escalation.to == "lead":
        return words.lead_of.format(team=owner_of(facts, voice.limit))
    if taken.team is None:
        return words.channel_alone.format(channel=channel)
    return words.team_in.format(team=markup.prose(taken.team, voice.limit), channel=channel)


def acknowledge_command(facts: Facts) -> str:
    return markup.code(f"router incident ack {facts.card.incident}", 80)


def channel_of(channel: Channel, limit: int) -> str:
    """By its name: <#C…> of a private channel, or of one that is gone, shows as unknown."""
    return f"#{markup.prose(channel.name, limit)}"


def owner_of(facts: Facts, limit: int) -> str:
    name = facts.card.owner
    return facts.words.no_owner if name is None else markup.prose(name, limit) or "–"


def _steps(facts: Facts, voice: Voice, most: int) -> Iterator[tuple[str, str]]:
    """The escalations, on the messages of the owner. One that stands where it was escalated to names the others."""
    card, words = facts.card, facts.words
    if card.kind is MessageKind.ESCALATED or not facts.open:
        return
    for taken in card.escalations[-most:]:
        step = taken.escalation
        why = reason(facts, step.reason, count=step.count, at=step.at)
        # Of what nobody owns, whoever watches the fallback channel is reminded there.
        template = words.still_nobodys if step.reason is EscalationReason.ORPHANED else words.escalated_to
        told = voice.template(template).format(
            who=called(facts, taken, voice), when=voice.instant(facts, step.at), reason=why
        )
        yield "⏫", told
    if len(card.escalations) > most:
        yield "⏫", words.more_lines.format(n=len(card.escalations) - most)


def _came_again(facts: Facts, why: EscalationReason, count: int) -> bool:
    """Whether it ended between: so many repeats it did not have."""
    return why is EscalationReason.REPEATED and (facts.card.flaps > 0 or facts.card.repeats < count)


def _until(facts: Facts, at: datetime) -> timedelta:
    return max(timedelta(0), at - facts.card.opened_at)
