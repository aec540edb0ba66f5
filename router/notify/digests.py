"""One message for many that wait for the same channel: the root message of all of them. Pure."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from router.core.digests import DigestCard, DigestLine
from router.core.model import Language, MessageKind, Rerun, RerunSafety, Stage
from router.notify import markup, progress, text
from router.notify.facts import Facts
from router.notify.layout import LEVEL_ICONS, Json, Payload, context, fits, header_block, reference_of, section, spaced
from router.notify.messages import refusal
from router.notify.rerun import rerun_word
from router.notify.words import Words, words_in

LINES = 30
_DOT = " · "  # narrower than that of other messages: thirty lines have to fit
_FOLDED_ABOVE = 5  # lines of one section; Slack shows the rest only on "see more" (bolt-python#1058)
_REFUSALS = 3  # told in full; each line names its own
_CALLED = 900  # units of mentions: with the text they stay below what Slack takes without blocks
_SEVERAL = 3  # names in the warning


@dataclass(frozen=True, slots=True, kw_only=True)
class _Room:
    """How much each part may take, in units. Tried from the widest on until the whole message fits."""

    title: int
    word: int
    when: int
    url: int
    since: bool = True
    signs_only: bool = False  # what it is and why it came here is told by signs, without their words


_ROOMS = (
    _Room(title=80, word=60, when=80, url=400),
    _Room(title=60, word=40, when=40, url=200),
    _Room(title=48, word=32, when=40, url=160, since=False),
    _Room(title=40, word=24, when=0, url=100, since=False),
    _Room(title=40, word=24, when=0, url=0, since=False),
    _Room(title=12, word=8, when=0, url=0, since=False, signs_only=True),
    _Room(title=8, word=8, when=0, url=0, since=False, signs_only=True),
)
_TEXT_ROOMS = (
    _Room(title=80, word=60, when=0, url=300),
    _Room(title=60, word=40, when=0, url=0),
    _Room(title=30, word=20, when=0, url=0),
    _Room(title=24, word=8, when=0, url=0, signs_only=True),
    _Room(title=10, word=8, when=0, url=0, signs_only=True),
)


def render_digest(card: DigestCard) -> Payload:
    """The message that shows `card`. Never larger than Slack takes, whatever the titles and the map hold."""
    digest = _Digest(card)
    told = _text(digest)
    for room in _ROOMS:
        payload = Payload(
            kind="digest",
            text=told,
            blocks=(
                _header(digest),
                section(_summary(digest)),
                *_warnings(digest, room),
                *_sections(digest, room),
                _legend(digest),
            ),
            mention=digest.called,
        )
        if fits(payload):
            break
    return payload


def render_told_again(language: Language) -> Payload:
    """What is left of a digest whose incidents all stand in newer ones."""
    words = words_in(language)
    return Payload(
        kind="digest",
        text=f"{words.digest}{words.colon}{words.told_again}",
        blocks=(header_block(f"📦 {words.digest}"), section(words.told_again)),
    )


class _Line:
    """One incident, with what the words need to know of its card."""

    def __init__(self, line: DigestLine) -> None:
        self.card = line.card
        self.facts = Facts(line.card)
        self.rerun = line.rerun
        self.own_message = line.own_message
        self.open = line.open

    @property
    def for_information(self) -> bool:
        return self.card.kind is MessageKind.COPY

    @property
    def to_act(self) -> bool:
        """Whether this line is what calls somebody. A copy calls another team, and a message of its own has called."""
        return self.open and not self.for_information and not self.own_message

    @property
    def unsafe(self) -> bool:
        return self.to_act and self.rerun.safety is RerunSafety.UNSAFE


class _Digest:
    """One digest, looked at once."""

    def __init__(self, card: DigestCard) -> None:
        self.card = card
        self.words = words_in(card.language)
        self.lines = [_Line(line) for line in card.lines]
        self.open = [line for line in self.lines if line.open]
        self.to_act = [line for line in self.lines if line.to_act]
        self.owners = {line.card.owner for line in self.lines if not line.for_information}
        self.called = _called(self.to_act)

    def when(self, instant: datetime) -> str:
        """An instant, with its day where that is another than the digest's."""
        return markup.date(instant, day=instant.date() != self.card.wanted_at.date())


def _called(lines: Iterable[_Line]) -> str:
    """Everybody whom these lines call, each once."""
    called = ""
    for mention in dict.fromkeys(line.facts.mention for line in lines):
        both = f"{called} {mention}".strip()
        if markup.units(both) <= _CALLED:
            called = both
    return called


def _header(digest: _Digest) -> Json:
    return header_block(f"{_sign(digest)} {digest.words.digest} · {_severity(digest)}{_counts(digest)}")


def _sign(digest: _Digest) -> str:
    if digest.open:
        return "📦"
    if any(line.facts.stale for line in digest.lines):
        return "💤"
    return "❓" if any(line.facts.suspect for line in digest.lines) else "✅"


def _severity(digest: _Digest) -> str:
    worst = next(iter(digest.card.levels), None)
    return f"{LEVEL_ICONS[worst]} {digest.words.levels[worst]} · " if worst is not None else ""


def _counts(digest: _Digest) -> str:
    words, total = digest.words, len(digest.lines)
    if not digest.open:
        return words.counted(words.none_firing, total)
    partly = len(digest.open) < total
    incidents = words.counted(words.incidents_firing if partly else words.incidents, total, firing=len(digest.open))
    return f"{incidents}{words.comma}{words.counted(words.alerts, digest.card.firing)}"


def _levels(digest: _Digest) -> Iterator[str]:
    for level, number in digest.card.levels.items():
        yield f"{LEVEL_ICONS[level]} {digest.words.of_level.format(n=number, level=digest.words.levels[level])}"


def _summary(digest: _Digest) -> str:
    words = digest.words
    first = _first_due(digest)
    lines = [spaced(digest.called, *_levels(digest))]
    if first is not None and first.card.respond_until is not None:
        deadline = f"{first.facts.deadline} ({digest.when(first.card.respond_until)})"
        lines.append(f"*{words.first_deadline.format(when=deadline)}*")
    lines.append(words.counted(words.why_digest, len(digest.lines)))
    return "\n".join(line for line in lines if line)


def _first_due(digest: _Digest) -> _Line | None:
    due = [
        (line.card.respond_until, place, line)
        for place, line in enumerate(digest.to_act)
        if line.card.respond_until is not None
    ]
    return min(due)[2] if due else None


def _warnings(digest: _Digest, room: _Room) -> Iterator[Json]:
    """What must not be overlooked, and what has to be put right, before the lines."""
    words = digest.words
    names = dict.fromkeys(markup.code(_job(line), room.word) for line in digest.to_act if line.unsafe)
    if names:
        more = f" {words.and_more.format(n=len(names) - _SEVERAL)}" if len(names) > _SEVERAL else ""
        named = words.comma.join(list(names)[:_SEVERAL])
        yield section(f"⛔ *{words.do_not_rerun_some}* {named}{more}")
    todo = []
    unowned = sum(line.card.owner is None for line in digest.to_act)
    if unowned:
        todo.append(f"🧭 {words.counted(words.unowned, unowned)}")
    refused = {
        (line.card.undelivered.channel.id, line.card.undelivered.reason): (line.facts, line.card.undelivered)
        for line in digest.to_act
        if line.card.undelivered is not None
    }
    for facts, undelivered in list(refused.values())[:_REFUSALS]:
        todo.append(f"📭 {spaced(*refusal(facts, undelivered, room.word))}")
    if len(refused) > _REFUSALS:
        todo.append(words.more_lines.format(n=len(refused) - _REFUSALS))
    if todo:
        yield section("\n".join(todo))


def _sections(digest: _Digest, room: _Room) -> Iterator[Json]:
    lines = [_line(line, digest, room) for line in digest.lines[:LINES]]
    if len(digest.lines) > LINES:
        lines[-1] += f"\n{digest.words.more_lines.format(n=len(digest.lines) - LINES)}"
    for start in range(0, len(lines), _FOLDED_ABOVE):
        yield section("\n".join(lines[start : start + _FOLDED_ABOVE]))


def _line(line: _Line, digest: _Digest, room: _Room) -> str:
    """State and severity by sign, what it is, and what somebody needs who has to act on it."""
    name = f"*{markup.prose(_name(line), room.title).replace('*', '∗').replace('`', 'ˋ')}*"
    counted = f"×{line.card.firing}" if line.open and line.card.firing > 1 else ""
    what = spaced(
        _line_sign(line, digest.words, room), name, _about(line, room, tick=True), _whose(line, digest, room), counted
    )
    told = [*_done(line, room), *_to_act(line, digest, room)] if line.open else _end(line, digest, room)
    return _DOT.join([what, *told, reference_of(line.card.reference)])


def _done(line: _Line, room: _Room) -> Iterator[str]:
    marks = list(_marks(line))
    if room.signs_only:
        yield from (sign for sign, _ in marks[:1])
    else:
        yield from (f"{sign} {mark}" for sign, mark in marks)


def _marks(line: _Line) -> Iterator[tuple[str, str]]:
    """What people and timers did about it, a sign and a word each; first what matters most to whoever reads it."""
    card, marks = line.card, line.facts.words.marks
    if card.acknowledged is not None:
        yield "👤", marks["acknowledged"]
    if card.snoozed is not None:
        yield "⏸️", marks["snoozed"]
    if card.flaps:
        yield "🎢", marks["flapping"]
    if card.escalations:
        yield "⏫", marks["escalated"]


def _line_sign(line: _Line, words: Words, room: _Room) -> str:
    card, facts = line.card, line.facts
    if card.handed_over:
        return f"➡️ {words.moved}"
    if facts.checked_in:
        return f"✅ {words.check_in_back}"
    if facts.suspect is not None:
        return f"❓ {words.suspect}"
    if facts.over:
        return "✅"
    if facts.stale:
        return f"💤 {words.stale}"
    icon = LEVEL_ICONS[card.severity]
    if facts.check_in:
        missed = words.check_in_failed if facts.check_in_failed else words.check_in_missing
        return f"{icon} ⏰" if room.signs_only else f"{icon} ⏰ {missed}"
    return icon


def _name(line: _Line) -> str:
    """A check-in is known by its entry of the map, not by the name of the alert that tells of it."""
    card = line.card
    if line.facts.check_in and card.via.entry is not None:
        return card.via.entry
    return line.facts.names[0].strip() or line.facts.words.unnamed


def _job(line: _Line) -> str:
    """What would be run again: all alerts of failed jobs have one name."""
    via = line.card.via
    return via.entry if via.entry is not None and via.stage is Stage.JOB else _name(line)


def _about(line: _Line, room: _Room, *, tick: bool) -> str:
    """The entry of the map that chose the owner: the job, the service."""
    via, words = line.card.via, line.facts.words
    if via.entry is None or line.facts.check_in or room.signs_only:
        return ""
    entry = markup.code(via.entry, room.word) if tick else markup.prose(via.entry, room.word)
    return f"{words.stages[via.stage]} {entry}"


def _whose(line: _Line, digest: _Digest, room: _Room) -> str:
    """Why it stands in this channel, where that does not go without saying."""
    card, words = line.card, digest.words
    if card.undelivered is not None:
        sign, refused = "📭", card.undelivered
        told = words.refused_by.format(
            channel=f"#{markup.prose(refused.channel.name, room.word)}",
            team=text.refused_team(line.facts, room.word),
            reason=markup.prose(refused.reason, room.word),
        )
    elif line.for_information:
        owner = words.says.format(label=words.owner, value=progress.owner_of(line.facts, room.word))
        sign, told = "📄", f"{words.lead_copy}{words.comma}{owner}"
    elif card.owner is None:
        sign, told = "🧭", words.lead_orphan
    else:
        sign, told = "", progress.owner_of(line.facts, room.word) if len(digest.owners) > 1 else ""
    return sign if room.signs_only else f"{sign} {told}".strip()


def _to_act(line: _Line, digest: _Digest, room: _Room) -> Iterator[str]:
    card, words = line.card, digest.words
    if line.own_message:
        yield f"↪ {words.own_message}"
    if line.to_act:
        if card.respond_until is not None:
            yield words.respond_until.format(deadline=digest.when(card.respond_until))
        yield _rerun(line, words, room)
        runbook = _runbook(line, words, room)
        if runbook:
            yield runbook
    if room.since:
        yield words.since.format(when=digest.when(line.facts.since))


def _rerun(line: _Line, words: Words, room: _Room) -> str:
    sign = f"{words.rerun} {words.rerun_icons[line.rerun.safety]}"
    careful = line.rerun.safety in {RerunSafety.UNSAFE, RerunSafety.CONDITIONAL}
    if not careful or not line.rerun.when or not room.when:
        return sign
    return f"{sign} {markup.prose(line.rerun.when, room.when).replace('`', 'ˋ')}"


def _runbook(line: _Line, words: Words, room: _Room) -> str:
    runbooks = line.facts.runbooks
    if len(runbooks) > 1:
        return f"{words.runbook} {words.differs}"
    runbook = runbooks[0] if runbooks else None
    if not runbook:
        return ""
    # Its host is shown because the map may have it, or whoever wrote the alert.
    label = words.runbook_at.format(host=markup.prose(markup.host_of(runbook), room.word))
    return markup.link(runbook, label, limit=room.url) or f"{words.runbook} {markup.CUT}"


def _end(line: _Line, digest: _Digest, room: _Room) -> Iterator[str]:
    card, words = line.card, digest.words
    if card.handed_over and card.handed_to:
        yield f"#{markup.prose(card.handed_to[-1].channel.name, room.word)}"
    elif line.facts.ended and card.closed_at is not None:
        yield words.ended.format(when=digest.when(card.closed_at))
        yield words.lasted.format(duration=line.facts.duration)


def _legend(digest: _Digest) -> Json:
    words = digest.words
    where = markup.code("/api/v1/notifications/ref", 60)
    told = [words.nothing_dropped.format(where=where)]
    if digest.open:
        told.insert(0, words.digest_lines)
    if digest.to_act:
        signs = dict.fromkeys(line.rerun.safety for line in digest.to_act)
        legend = "  ".join(rerun_word(Rerun(safety=safety), words) for safety in signs)
        told = [words.says.format(label=words.rerun, value=legend), words.not_said, *told]
    return context(*told)


def _text(digest: _Digest) -> str:
    """All of it for screen readers, for phones, and where the blocks are refused."""
    lead = _lead(digest)
    for room in _TEXT_ROOMS:
        lines = [_spoken(line, digest, room) for line in digest.lines[:LINES]]
        told = _told(lead, lines, digest)
        if markup.units(told) <= text.CEILING:
            break
    while markup.units(told) > text.CEILING:
        lines.pop()  # the least urgent
        told = _told(lead, lines, digest)
    return told


def _told(lead: str, lines: Sequence[str], digest: _Digest) -> str:
    hidden = len(digest.lines) - len(lines)
    return "\n".join([lead, *lines, *([digest.words.more_lines.format(n=hidden)] if hidden else [])])


def _lead(digest: _Digest) -> str:
    words = digest.words
    first = _first_due(digest)
    return text.sentences(
        words,
        [
            words.says.format(label=words.digest, value=_counts(digest)),
            words.comma.join(
                words.of_level.format(n=number, level=words.levels[level])
                for level, number in digest.card.levels.items()
            ),
            words.first_deadline.format(when=first.facts.deadline) if first is not None else "",
            f"⛔ {words.do_not_rerun_some}" if any(line.unsafe for line in digest.lines) else "",
            words.counted(words.why_digest, len(digest.lines)),
        ],
    )


def _spoken(line: _Line, digest: _Digest, room: _Room) -> str:
    words = digest.words
    parts = [_spoken_state(line, room), _whose(line, digest, room)]
    if line.open and line.card.firing > 1:
        parts.append(f"×{line.card.firing}")
    if line.own_message:
        parts.append(words.own_message)
    if line.open and not room.signs_only:
        parts.extend(mark for _, mark in _marks(line))
    if line.to_act:
        if line.facts.deadline:
            parts.append(words.respond_until.format(deadline=line.facts.deadline))
        unknown = line.rerun.safety is RerunSafety.UNKNOWN
        rerun = words.not_declared if unknown else words.reruns[line.rerun.safety].lower()
        parts.append(words.says.format(label=words.rerun, value=rerun))
    parts.append(f"ref {markup.prose(line.card.reference, 60)}")
    told = f"• {words.comma.join(part for part in parts if part)}"
    # Last, so that no comma touches the URL.
    url = markup.bare_url(line.facts.runbooks[0] or "", room.url) if len(line.facts.runbooks) == 1 else None
    return spaced(told, url) if url is not None and line.to_act else told


def _spoken_state(line: _Line, room: _Room) -> str:
    name, about = markup.prose(_name(line), room.title), _about(line, room, tick=False)
    return text.lead(line.facts, line.facts.words.what.format(name=name, where=about) if about else name)
