"""The text of a message: what a phone shows, a screen reader reads, and all there is when the blocks are refused.

Screen readers read this and nothing of the blocks, so every fact that somebody needs is in it.
(https://docs.slack.dev/reference/methods/chat.postMessage#accessibility-considerations)
No mention is in it: beside blocks it might ring a second time.
"""

from collections.abc import Iterable

from router.core.message_card import CardEscalation, Handover
from router.core.model import MessageKind, RerunSafety
from router.notify import markup, progress
from router.notify.facts import Facts
from router.notify.progress import Voice
from router.notify.words import Words

CEILING = 3_000  # Slack advises 4,000 and above it splits, doubles or refuses the message

# In units each; together they stay below the ceiling whatever they hold.
_WORD, _PLACE, _SUMMARY, _WHEN, _URL, _NAME = 100, 80, 300, 200, 800, 30


def text_of(facts: Facts) -> str:
    card, words = facts.card, facts.words
    return sentences(
        words,
        [
            words.says.format(label=words.drill, value=words.drill_means) if facts.drill else "",
            _why_here(facts),
            _lead(facts),
            *(_rerun(facts) if card.about_job and facts.open else []),
            *progress.news(facts, Voice(limit=_NAME, spoken=True)),
            _summary(facts),
            facts.counts,
            words.says.format(label=words.owner, value=progress.owner_of(facts, _WORD)),
            *(_what_to_do(facts) if facts.open else [_was(facts)]),
            f"ref {markup.prose(card.reference, _WORD)}",
            # Last, so that no full stop touches the URL.
            _runbook(facts) if facts.open else "",
        ],
    )


def sentences(words: Words, parts: Iterable[str]) -> str:
    return words.stop.join(part.removesuffix(".").removesuffix("。") for part in parts if part)


def refused_team(facts: Facts, limit: int) -> str:
    refused = facts.card.undelivered
    return (markup.prose(refused.team, limit) if refused is not None else "") or progress.owner_of(facts, limit)


def warning(facts: Facts, *, word: int, when: int, strong: str) -> str:
    """What must not be rerun, and why. `strong` encloses the prohibition."""
    words, unsafe = facts.words, facts.unsafe[0].hints.rerun
    why = markup.prose(unsafe.when or "", when)
    if len(facts.reruns) == 1:
        return f"⛔ {strong}{words.do_not_rerun}{strong} {why}".rstrip()
    names = tuple(dict.fromkeys(facts.name_of(shown) for shown in facts.unsafe))
    more = f" {words.and_more.format(n=len(names) - 1)}" if len(names) > 1 else ""
    return f"⛔ {strong}{words.do_not_rerun_some}{strong} {markup.code(names[0], word)}{more}{words.colon}{why}"


def _why_here(facts: Facts) -> str:
    card, words = facts.card, facts.words
    if card.undelivered is not None:
        refused = card.undelivered
        return words.lead_undelivered.format(
            team=refused_team(facts, _PLACE),
            reason=markup.prose(refused.reason, _PLACE),
            channel=f"#{markup.prose(refused.channel.name, _PLACE)}",
        )
    if card.kind is MessageKind.COPY:
        return words.lead_copy
    if card.kind is MessageKind.ESCALATED and card.escalation is not None and facts.open:
        return _escalated(facts, card.escalation)
    if card.handed_over:
        return moved(facts, card.handed_to[-1], _PLACE)
    if card.taken_from and facts.open and card.assigned is None:
        return taken(facts, card.taken_from[-1], _PLACE)
    return words.lead_orphan if card.owner is None and facts.open else ""


def _escalated(facts: Facts, taken: CardEscalation) -> str:
    words, acknowledged = facts.words, facts.card.acknowledged
    voice = Voice(limit=_PLACE, spoken=True)
    if acknowledged is not None:
        by, when = voice.person(facts, acknowledged.by), facts.clock(acknowledged.at)
        why = voice.template(words.taken_already).format(by=by, when=when)
    else:
        why = progress.why_escalated(facts, taken, voice)
    return words.says.format(label=words.lead_escalated, value=why)


def moved(facts: Facts, to: Handover, limit: int, *, spoken: bool = True) -> str:
    """That alerts belong to somebody else since the map changed, or since a person said so."""
    words, channel = facts.words, f"#{markup.prose(to.channel.name, limit)}"
    said = facts.card.assigned
    if said is not None and facts.card.handed_over and to is facts.card.handed_to[-1]:
        by = Voice(limit=limit, spoken=spoken).person(facts, said.by)
        return words.counted(
            words.said_not_yours, to.alerts, team=markup.prose(to.team or "", limit), channel=channel, by=by
        )
    if to.team is None:
        return words.counted(words.moved_to_nobody, to.alerts, channel=channel)
    return words.counted(words.moved_to, to.alerts, team=markup.prose(to.team, limit), channel=channel)


def taken(facts: Facts, before: Handover, limit: int) -> str:
    """Whose alerts were before the map changed."""
    words, channel = facts.words, f"#{markup.prose(before.channel.name, limit)}"
    if before.team is None:
        return words.counted(words.claimed, before.alerts, channel=channel)
    return words.counted(words.taken_from, before.alerts, team=markup.prose(before.team, limit), channel=channel)


def _lead(facts: Facts) -> str:
    words = facts.words
    name = markup.prose(facts.names[0], _WORD) or words.unnamed
    if len(facts.names) > 1:
        name = words.more_names.format(name=name, n=len(facts.names) - 1)
    where = markup.prose(facts.place(limit=_PLACE), _PLACE)
    return lead(facts, words.what.format(name=name, where=where) if where else name)


def lead(facts: Facts, what: str) -> str:
    """What an incident is at this moment, and `what` it is about."""
    card, words = facts.card, facts.words
    if facts.checked_in:
        return words.lead_back.format(what=what)
    if card.handed_over:
        return words.lead_moved.format(what=what)
    if facts.suspect is not None:
        return words.lead_suspect.format(what=what)
    if facts.over:
        return words.lead_resolved.format(duration=facts.duration, what=what)
    if facts.stale:
        return words.lead_stale.format(what=what)
    if facts.check_in:
        return (words.lead_failed if facts.check_in_failed else words.lead_missing).format(what=what)
    firing = words.lead_repeated if card.repeats else words.lead_firing
    return firing.format(level=words.levels[card.severity], n=card.repeats + 1, what=what)


def _summary(facts: Facts) -> str:
    if not facts.summaries or facts.checked_in:
        return ""
    return markup.prose(facts.summaries[0], _SUMMARY)


def _was(facts: Facts) -> str:
    words = facts.words
    return words.says.format(label=words.was, value=words.levels[facts.card.severity])


def _what_to_do(facts: Facts) -> Iterable[str]:
    words = facts.words
    deadline = words.respond_until.format(deadline=facts.deadline) if facts.deadline else words.no_deadline
    yield deadline[0].upper() + deadline[1:]
    if not facts.card.about_job:
        yield from _rerun(facts)


def _rerun(facts: Facts) -> Iterable[str]:
    words, until = facts.words, facts.rerun_until
    if facts.unsafe:
        yield warning(facts, word=_PLACE, when=_WHEN, strong="")
    yield words.says.format(label=words.rerun, value=_rerun_word(facts))
    if until is not None:
        template = words.rerun_too_late if facts.rerun_too_late else words.rerun_until
        yield template.format(when=facts.clock(until))


def _rerun_word(facts: Facts) -> str:
    words, rerun = facts.words, facts.rerun
    if rerun is None and facts.reruns:
        return words.differs
    if rerun is None or rerun.safety is RerunSafety.UNKNOWN:
        return words.not_declared
    word = words.reruns[rerun.safety].lower()
    if rerun.safety is RerunSafety.NOT_NEEDED:
        word = f"{word}{words.comma}{words.rerun_means[rerun.safety]}"
    if rerun.ask:
        word = f"{word}{words.comma}{words.ask.format(team=markup.prose(rerun.ask, _NAME))}"
    return word if facts.all_shown else f"{word} {words.of_those_shown}"


def _runbook(facts: Facts) -> str:
    words = facts.words
    if len(facts.runbooks) > 1:
        return words.says.format(label=words.runbook, value=words.differs)
    runbook = facts.runbooks[0] if facts.runbooks else None
    if not runbook:
        return words.no_runbook[0].upper() + words.no_runbook[1:]
    value = markup.bare_url(runbook, _URL) or markup.prose(runbook, _WHEN)
    return words.says.format(label=words.runbook, value=value)
