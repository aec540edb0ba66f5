"""What the message of one incident looks like in Slack. Pure: a card goes in, Slack's JSON comes out.

Every text from outside passes through `markup`. Every size stays below Slack's limits with room to spare, for any card.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from urllib.parse import quote

from router.core.enrichment import RUNBOOK_ANNOTATIONS
from router.core.message_card import Card, CardAlert, CardEscalation
from router.core.model import Level, MessageKind, OrphanHelp, Source, Stage, Undelivered
from router.notify import markup, progress, text
from router.notify.actions import actions
from router.notify.facts import SUMMARIES, Facts, first_of, summary_of
from router.notify.layout import (
    CONTEXT_CEILING,
    DOT,
    HEADER_CEILING,
    LEVEL_ICONS,
    Json,
    Payload,
    Room,
    context,
    fields_block,
    fits,
    header_block,
    reference_of,
    section,
    spaced,
)
from router.notify.progress import Voice
from router.notify.rerun import how_to_rerun, rerun_field, rerun_first, rerun_word
from router.notify.words import Words

LEVEL_COLOURS: Mapping[Level, str] = {
    Level.CRITICAL: "#B3261E",
    Level.HIGH: "#E65100",
    Level.NORMAL: "#F9A825",
    Level.LOW: "#1565C0",
    Level.IGNORE: "#757575",
}
_GREEN, _GREY, _BROWN, _PURPLE = "#2E7D32", "#757575", "#5D4037", "#6A1B9A"
_VALUES = ("value", "current_value")
_DASHBOARDS = ("dashboard_url", "dashboard", "dashboardURL", "__dashboardUrl__")

_ROOMS = (
    Room(lines=10, line=240, summary=600, field=400, word=120, url=1_000, block=1_200),
    Room(lines=10, line=160, summary=300, field=250, word=80, url=500, block=600),
    Room(lines=5, line=120, summary=200, field=120, word=50, url=250, block=300),
    Room(lines=2, line=40, summary=60, field=40, word=16, url=100, block=100),
    Room(lines=1, line=16, summary=40, field=24, word=10, url=100, block=0, several=1),
)


def render(card: Card) -> Payload:
    """The message that shows `card`. Never larger than Slack takes, whatever the labels and annotations hold."""
    facts = Facts(card)
    for room in _ROOMS:
        payload = _message(facts, room)
        if fits(payload):
            break
    return payload


def render_move(card: Card) -> Payload:
    """The reply below a message whose alerts went to somebody else, or came from there. Mentions nobody."""
    facts = Facts(card)
    # A person's token would call, here where it is posted.
    lines = [*_taken(facts, _ROOMS[0]), *_moved(facts, _ROOMS[0], spoken=True)]
    return Payload(
        kind="moved",
        text=text.sentences(facts.words, lines),
        blocks=(section("\n".join(f"➡️ {line}" for line in lines)), context(_map(facts))),
    )


def _taken(facts: Facts, room: Room) -> Iterator[str]:
    before = facts.card.taken_from
    yield from (text.taken(facts, one, room.word) for one in before[-room.several :])
    yield from _more(facts, len(before) - room.several)


def _moved(facts: Facts, room: Room, *, spoken: bool = False) -> Iterator[str]:
    to = facts.card.handed_to
    yield from (text.moved(facts, one, room.word, spoken=spoken) for one in to[-room.several :])
    yield from _more(facts, len(to) - room.several)


def _more(facts: Facts, number: int) -> Iterator[str]:
    if number > 0:
        yield facts.words.more_lines.format(n=number)


def _message(facts: Facts, room: Room) -> Payload:
    card = facts.card
    return Payload(
        kind=_metadata_kind(facts),
        text=text.text_of(facts),
        blocks=(
            _header(facts),
            *_drill(facts),
            *_why_here(facts, room),
            *rerun_first(facts, room),
            *_news(facts, room),
            section(_summary(facts, room)),
            fields_block(_facts_fields(facts, room)),
            *how_to_rerun(facts, room),
            *_claim(facts, room),
            *_links(facts, room),
            *_buttons(facts),
            *_footer(facts, room),
        ),
        attachments=(
            {
                "color": _colour(facts),
                "fallback": facts.counts,
                "blocks": [
                    section(_instances(facts, room)),
                    *([section(_tried(facts, room))] if card.orphan and card.orphan.tried else []),
                ],
            },
        ),
        mention=facts.mention,
    )


def _header(facts: Facts) -> Json:
    """What, how bad, where, on one line. State is told by sign and word, never by colour alone."""
    card, words = facts.card, facts.words
    level = words.levels[card.severity]
    if facts.checked_in:
        head = [f"✅ {words.check_in_back}"]
    elif card.handed_over:
        head = [f"➡️ {words.moved}"]
    elif facts.suspect is not None:
        head = [f"❓ {words.suspect}"]
    elif facts.over:
        head = [f"✅ {words.resolved}"]
    elif facts.stale:
        head = [f"💤 {words.stale}"]
    elif facts.check_in:
        head = [f"⏰ {words.check_in_failed if facts.check_in_failed else words.check_in_missing}", level]
    elif card.kind in {MessageKind.UNDELIVERED, MessageKind.ESCALATED} or card.owner is None:
        head = [level]
    else:
        head = [f"{LEVEL_ICONS[card.severity]} {level}"]
    if card.kind is MessageKind.UNDELIVERED:
        head.insert(0, f"📭 {words.undelivered}")
    elif card.kind is MessageKind.COPY:
        head.insert(0, f"📄 {words.copy}")
    elif card.kind is MessageKind.ESCALATED and facts.open:
        taken = card.acknowledged is not None
        head.insert(0, f"👤 {words.is_acknowledged}" if taken else f"⏫ {words.escalated}")
    elif card.owner is None and facts.open:
        head.insert(0, f"🧭 {words.orphan}")
    if facts.drill:
        head.insert(0, f"🧪 {words.drill}")
    notices = f"  ×{card.repeats + 1}" if card.repeats and facts.open else ""

    name, place = markup.plain(facts.names[0], 60) or words.unnamed, facts.place(limit=40)
    if len(facts.names) > 1:
        name = words.more_names.format(name=name, n=len(facts.names) - 1)
    if facts.check_in and place:
        name, place = words.where.format(thing=name, place=place), ""
    tail = f" · {place}{notices}" if place else notices
    lead = " · ".join([*head, ""])
    room = HEADER_CEILING - markup.escaped_units(lead + tail)
    return header_block(f"{lead}{markup.plain(name, room)}{tail}")


def _drill(facts: Facts) -> Iterable[Json]:
    if facts.drill:
        yield section(f"🧪 *{facts.words.drill_means}*")


def _why_here(facts: Facts, room: Room) -> Iterable[Json]:
    """What is unusual about this message standing in this channel."""
    card, words = facts.card, facts.words
    if card.kind is MessageKind.COPY and facts.open:
        yield section(f"📄 {words.copy_means.format(owner=progress.owner_of(facts, room.word))}")
    if card.kind is MessageKind.ESCALATED and card.escalation is not None:
        yield section("\n".join(_escalation(facts, card.escalation, room)))
    if card.undelivered is not None:
        line, fix = refusal(facts, card.undelivered, room.word)
        called = facts.mention if card.escalation is None else ""  # once
        yield section(f"{spaced(line, called)}\n{fix}")


def _escalation(facts: Facts, taken: CardEscalation, room: Room) -> Iterator[str]:
    """Why somebody is called who does not own it, who was before, and what to do about it."""
    card, words, voice = facts.card, facts.words, Voice(limit=room.word)
    step = taken.escalation
    if not facts.open:
        why = progress.reason(facts, step.reason, count=step.count, at=step.at)
        told = words.escalated_here if facts.over else words.escalated_here_once
        yield f"⏫ {told.format(when=facts.moment(step.at), reason=why)}"
    elif card.acknowledged is not None:
        by, when = voice.person(facts, card.acknowledged.by), facts.moment(card.acknowledged.at)
        yield f"👤 {words.taken_already.format(by=by, when=when)}"
    else:
        yield spaced(f"*{progress.why_escalated(facts, taken, voice)}*", facts.mention)
        yield _take_it(facts)
    before = [one for one in card.escalations if one.escalation.at < step.at]
    if card.first_channel is not None:
        first = f"#{markup.prose(card.first_channel.name, room.word)}"
        link = markup.link(card.first_message or "", first, limit=room.url) or first
        told = words.first_message.format(link=link)
        who = "; ".join(progress.called(facts, one, voice) for one in before[-room.several :])
        yield DOT.join([told, *([words.called_before.format(who=who)] if who else [])])


def _take_it(facts: Facts) -> str:
    """What is asked of whoever is called; only where a step is left can they stop one."""
    card, words = facts.card, facts.words
    if card.buttons:
        return words.take_it if card.steps_left else words.take_it_last
    command = progress.acknowledge_command(facts)
    if card.steps_left:
        return words.take_it_by_command.format(command=command)
    return f"{words.take_it_last} {words.acknowledge_by.format(command=command)}"


def _news(facts: Facts, room: Room) -> Iterable[Json]:
    """What changed since it fired: whose it is, who has it, who else was called."""
    card, lines = facts.card, []
    if card.taken_from and facts.open and card.assigned is None:
        lines += [f"➡️ {line}" for line in _taken(facts, room)]
    if card.handed_to and (facts.open or card.handed_over):
        lines += [f"➡️ {line}" for line in _moved(facts, room)]
    lines += progress.news(facts, Voice(limit=room.word), steps=room.several)
    if lines:
        yield section("\n".join(lines))


def _buttons(facts: Facts) -> Iterable[Json]:
    block = actions(facts)
    if block is not None:
        yield block


def refusal(facts: Facts, refused: Undelivered, limit: int) -> tuple[str, str]:
    """Whose channel refused with which word, and what to do about it."""
    words = facts.words
    # The name, not <#C…>: of a channel that is gone or private, that shows as unknown.
    channel = f"#{markup.prose(refused.channel.name, limit)} ({markup.code(refused.channel.id, 30)})"
    line = words.refused.format(
        channel=channel, team=text.refused_team(facts, limit), reason=markup.code(refused.reason, limit)
    )
    return line, words.fixes.get(refused.reason, words.fix_other)


def _summary(facts: Facts, room: Room) -> str:
    words, card = facts.words, facts.card
    if facts.checked_in:
        # What was said of the missing check-in is not true any more.
        due = facts.expected_at
        late = card.closed_at - due if due is not None and card.closed_at is not None else None
        return words.late.format(duration=words.duration(late)) if late is not None else words.arrived
    summary = markup.prose(facts.summaries[0], room.summary) if facts.summaries else ""
    if not summary and facts.first is not None:
        summary = _labels(facts.first, room)
    if len(facts.summaries) > 1:
        summary = words.more_summaries.format(summary=summary, n=len(facts.summaries) - 1)
    if facts.all_told_resolved and summary:
        return words.last_words.format(summary=summary)
    if facts.suspect is not None:
        heartbeat, lost = markup.code(facts.suspect.heartbeat, room.word), facts.moment(facts.suspect.lost_at)
        before = card.closed_at is not None and card.closed_at < facts.suspect.lost_at
        means = words.suspect_means_before if before else words.suspect_means
        return f"{means.format(heartbeat=heartbeat, when=lost)}\n{summary}".rstrip()
    if facts.over:
        told = words.last_words.format(summary=summary) if summary else ""
        return spaced(words.fired_for.format(duration=facts.duration), told)
    if facts.stale:
        since = words.stale_since.format(when=facts.moment(card.heard_at)) if card.heard_at is not None else ""
        return f"{spaced(since, words.stale_means)}\n{summary}".rstrip()
    return summary or "–"


def _facts_fields(facts: Facts, room: Room) -> list[tuple[str, str]]:
    card, words = facts.card, facts.words
    # Another one than the owner is called by these, where they say why.
    mentioned = facts.mention if card.undelivered is None and card.kind is not MessageKind.ESCALATED else ""
    fields = [
        (words.owner, spaced(progress.owner_of(facts, room.word), mentioned)),
        _severity_field(facts),
    ]
    where = [facts.thing, *facts.places]
    if any(where):
        fields.append((words.service, " / ".join(markup.prose(part, room.word) for part in where if part)))
    if facts.check_in:
        fields.extend(_check_in_fields(facts, room))
    elif facts.open:
        fields.append((words.firing_since, markup.date(facts.since)))
    else:
        fields.append((words.fired, markup.date(facts.since)))
        if card.closed_at is not None:
            closed = words.resolved_at if facts.ended else words.closed
            fields.append((closed, markup.date(card.closed_at)))
    # Of what is no job nobody expects a word about running it again.
    if facts.open and not card.about_job:
        fields.append((words.rerun, rerun_field(facts, room)))
    return fields


def _severity_field(facts: Facts) -> tuple[str, str]:
    words, card = facts.words, facts.card
    level = f"{LEVEL_ICONS[card.severity]} {words.levels[card.severity]}"
    if not facts.open:
        return words.was, level
    if card.respond_until is None or facts.deadline is None:
        return words.severity, f"{level}\n{words.no_deadline}"
    # The team's own clock is how its people speak of it; the reader may sit elsewhere, so theirs is beside it.
    until = words.respond_until.format(deadline=facts.deadline)
    return words.severity, f"{level}\n{until} ({markup.date(card.respond_until, day=not facts.due_today)})"


def _check_in_fields(facts: Facts, room: Room) -> Iterable[tuple[str, str]]:
    words, first = facts.words, facts.first
    if first is None:
        return
    expected, due = first.alert.annotations.get("expected_at", ""), facts.expected_at
    if expected:
        yield words.due, markup.date(due) if due is not None else markup.prose(expected, room.word)
    if facts.checked_in and facts.card.closed_at is not None:
        yield words.received, markup.date(facts.card.closed_at)
    missed = markup.prose(first.alert.annotations.get("missed_count", ""), room.word)
    if missed and facts.open:
        yield words.missed, f"×{missed}"


def _claim(facts: Facts, room: Room) -> Iterable[Json]:
    """What to paste into the map: where a person said whose it is; and of an orphan, with the nearest entries."""
    help_, words = facts.card.orphan, facts.words
    correction = markup.code_block(facts.card.correction or "", room.block)
    if correction is not None and (facts.open or facts.card.handed_over):
        yield section(f"*{words.correct_map}*\n{correction}")
    elif help_ is not None and facts.open:
        yield from _claim_of(facts, help_, room)


def _claim_of(facts: Facts, help_: OrphanHelp, room: Room) -> Iterable[Json]:
    words = facts.words
    lines = []
    stanza = markup.code_block(help_.stanza, room.block)
    if stanza is not None:
        lines.append(f"*{words.claim}*\n{stanza}")
    for nearest in help_.nearest[: room.several]:
        entry = f"{markup.prose(nearest.kind, room.word)} {markup.code(nearest.entry, room.word)}"
        where = markup.prose(f"{nearest.file}:{nearest.line}", room.word)
        lines.append(f"{words.nearest}{words.colon}{entry} ({where}) – {markup.prose(nearest.why, room.line)}")
    if lines:
        yield section("\n".join(lines))


def _links(facts: Facts, room: Room) -> Iterable[Json]:
    words, first = facts.words, facts.first
    links: list[str | None] = [_runbook(facts, room)]
    if first is not None:
        alert = first.alert
        dashboard = first_of(alert.annotations, _DASHBOARDS) or alert.dashboard_url
        wanted = [(dashboard, words.dashboard)]
        if facts.check_in:
            wanted.append((alert.annotations.get("link", ""), words.check_in))
        elif facts.open or facts.stale or facts.suspect is not None:
            wanted.append((alert.generator_url, words.query))
        if facts.open:
            wanted.append((_silence(facts), words.silence))
        links.extend(markup.link(url, label, limit=room.url) for url, label in wanted if url)
    yield section(DOT.join(link for link in links if link))


def _runbook(facts: Facts, room: Room) -> str:
    words = facts.words
    if len(facts.runbooks) > 1:
        return f"{words.runbook} {words.differs}"
    runbook = facts.runbooks[0] if facts.runbooks else None
    return _runbook_link(runbook, facts.active, words, room) if runbook else words.no_runbook


def _runbook_link(runbook: str, shown: Iterable[CardAlert], words: Words, room: Room) -> str:
    """A runbook that an annotation brought shows its host: who wrote the alert is not always who wrote the map."""
    brought = any(runbook == alert.alert.annotations.get(name) for alert in shown for name in RUNBOOK_ANNOTATIONS)
    label = words.runbook
    if brought and (host := markup.host_of(runbook)):
        label = words.runbook_at.format(host=markup.prose(host, room.word))
    # What is no link, or too long for one, is still worth reading.
    return markup.link(runbook, label, limit=room.url) or words.says.format(
        label=words.runbook, value=markup.code(runbook, room.line)
    )


def _silence(facts: Facts) -> str:
    """Where to silence exactly these alerts. None without a common alertname: that silence would be too wide."""
    first, card = facts.first, facts.card
    if first is None:
        return ""
    if card.source is Source.ALERTMANAGER and card.sender and facts.common.get("alertname"):
        matchers = ",".join(
            f"{name if _is_classic(name) else json.dumps(name, ensure_ascii=False)}="
            f"{json.dumps(value, ensure_ascii=False)}"
            for name, value in sorted(facts.common.items())
        )
        filter_ = quote(f"{{{matchers}}}", safe="", errors="replace")
        return f"{card.sender.rstrip('/')}/#/silences/new?filter={filter_}"
    same = len({shown.alert.silence_url for shown in facts.active}) == 1
    return first.alert.silence_url if same else ""


def _is_classic(label_name: str) -> bool:
    return label_name.isascii() and label_name.isidentifier()


def _footer(facts: Facts, room: Room) -> Iterable[Json]:
    """Why it came here, how many, and the id to ask the router with. The id is never cut."""
    card, words = facts.card, facts.words
    via = card.via
    place = markup.prose(f"{via.file}:{via.line}", min(room.word, 60))
    revision = _map(facts)
    said = card.assigned is not None and not card.handed_over
    if via.stage is Stage.FALLBACK or via.entry is None:
        template = words.because_said_of_nobody if said else words.because_fallback
        because = template.format(place=place, revision=revision)
    else:
        entry = markup.code(via.entry, min(room.word, 60))
        chosen = {"stage": words.stages[via.stage], "entry": entry, "place": place, "revision": revision}
        if said:
            team = markup.prose(card.assigned_instead_of, min(room.word, 40))
            because = words.because_said.format(team=team, **chosen)
        else:
            because = words.because.format(**chosen)
    told = [because, facts.counts]
    if not facts.open:
        told.append(words.counted(words.notices, card.repeats + 1))
    drift = []
    if card.drift:
        more = f" {words.and_more.format(n=len(card.drift) - 1)}" if len(card.drift) > 1 else ""
        drift.append(f"⚠️ {markup.prose(card.drift[0], min(room.field, CONTEXT_CEILING - 40))}{more}")
    yield context(DOT.join([*told, reference_of(card.reference)]), *drift)


def _map(facts: Facts) -> str:
    """Which map decided it, and since when that one was in force."""
    card, words = facts.card, facts.words
    revision = markup.prose(card.map_revision, 24)
    if card.map_since is not None:
        revision = words.map_since.format(revision=revision, when=markup.date(card.map_since))
    return words.map.format(revision=revision)


def _colour(facts: Facts) -> str:
    card = facts.card
    if facts.over:
        return _GREEN
    if not facts.open:
        return _GREY
    if card.owner is None:
        return _BROWN
    return _PURPLE if facts.check_in else LEVEL_COLOURS[card.severity]


def _instances(facts: Facts, room: Room) -> str:
    """The alerts one by one: what tells them apart, their words, since when."""
    card, words = facts.card, facts.words
    lines = [words.all_resolved] if facts.over and facts.total > 1 else []
    if len(card.alerts) == 1:
        only = card.alerts[0]
        if facts.summaries[0]:  # without one, the labels stand in its place above
            lines.append(_labels(only, room))
        detail = _detail(only, facts.summaries)
        if detail:
            lines.append(markup.prose(detail, room.summary))
    else:
        shown = sorted(card.alerts, key=lambda one: not one.firing)[: room.lines]
        lines.extend(_line(one, facts, room) for one in shown)
    hidden = facts.total - min(len(card.alerts), room.lines)
    if hidden > 0:
        lines.append(words.more_lines.format(n=hidden))
    if card.truncated:
        lines.append(words.left_out.format(n=card.truncated))
    return "\n".join(line for line in lines if line) or facts.counts


def _line(one: CardAlert, facts: Facts, room: Room) -> str:
    words = facts.words
    if not one.firing:
        sign = "✅" if facts.suspect is None else "❓"
    elif len(facts.severities) > 1:
        sign = LEVEL_ICONS[one.hints.severity]
    else:
        sign = "•"
    name = f"*{markup.prose(one.alert.name, room.word).replace('*', '∗')}*" if len(facts.names) > 1 else ""
    what = _distinction(one, facts, room)
    value = first_of(one.alert.annotations, _VALUES)
    if not value and len(facts.summaries) > 1:
        value = summary_of(one)
    parts = [sign, name, what, markup.prose(value, room.line).replace("`", "ˋ")]
    if not one.firing and one.until is not None and one.since is not None and not facts.open:
        parts.append(words.lasted.format(duration=words.duration(one.until - one.since)))
    elif not one.firing and one.until is not None:
        parts.append(words.ended.format(when=facts.when(one.until)))
    elif one.since is not None:
        parts.append(words.since.format(when=facts.when(one.since)))
    if facts.open and one.firing:
        if len(facts.reruns) > 1:
            when = markup.prose(one.hints.rerun.when or "", min(room.word, 80)).replace("`", "ˋ")
            rerun = words.says.format(label=words.rerun, value=rerun_word(one.hints.rerun, words))
            parts.append(f"{rerun}{words.colon}{when}" if when else rerun)
        if len(facts.runbooks) > 1:
            runbook = one.hints.runbook
            parts.append(_runbook_link(runbook, [one], words, room) if runbook else words.no_runbook)
    return "  ".join(part for part in parts if part)


def _distinction(one: CardAlert, facts: Facts, room: Room) -> str:
    """The values of the labels that tell the alerts apart; with their names where there are several."""
    labels = one.alert.labels
    telling = [name for name in facts.telling if labels.get(name)][:3]
    if len(facts.telling) == 1 and telling:
        return markup.code(labels[telling[0]], room.word)
    if telling:
        return " ".join(markup.code(f"{name}={labels[name]}", room.word) for name in telling)
    return "" if len(facts.names) > 1 else markup.code(one.alert.name, room.word)


def _labels(shown: CardAlert, room: Room) -> str:
    """An alert in the words of its labels, as many as fit."""
    labels = shown.alert.labels
    written: list[str] = []
    left = room.summary
    for name in sorted(labels, key=lambda label: (label != "alertname", label)):
        pair = markup.code(f"{name}={labels[name]}", room.word)
        left -= markup.units(pair) + 1
        if left < 0:
            break
        written.append(pair)
    return " ".join(written)


def _detail(shown: CardAlert, told: Sequence[str]) -> str:
    """The longer annotation, where the summary has not said it."""
    for name in SUMMARIES[1:]:
        words = shown.alert.annotations.get(name, "")
        if words.strip() and words not in told:
            return words
    return ""


def _tried(facts: Facts, room: Room) -> str:
    words, orphan = facts.words, facts.card.orphan
    tried = orphan.tried if orphan is not None else ()
    lines = (f"{words.stages[one.stage]} – {markup.prose(one.reason, room.line)}" for one in tried)
    return "\n".join([f"*{words.tried}*", *lines])


def _metadata_kind(facts: Facts) -> str:
    card = facts.card
    if card.kind is MessageKind.UNDELIVERED:
        return "undelivered"
    if card.kind in {MessageKind.COPY, MessageKind.ESCALATED}:
        return str(card.kind)
    if card.handed_over:
        return "moved"
    if facts.checked_in:
        return "checkin_recovered"
    if facts.suspect is not None:
        return "suspect"
    if not facts.open:
        return str(card.state)
    if facts.check_in:
        return "checkin_missing"
    if card.owner is None:
        return "orphan"
    return "repeated" if card.repeats else "firing"
