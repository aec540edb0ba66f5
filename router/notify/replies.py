"""What a thread tells: one reply for what happened since the last one, a line each, oldest first. Pure."""

from collections.abc import Iterator, Mapping, Sequence

from router.core.history import EscalationReason, Event, Happening
from router.core.message_card import Card
from router.core.model import IncidentState, Mention
from router.notify import markup, text
from router.notify.facts import Facts
from router.notify.layout import DOT, Payload, fits, section
from router.notify.progress import Voice, acknowledge_command, owner_of, reason

LINES = 10
_FIRST = 4  # of more than LINES, so many are told from the beginning, and the last ones
_NAMES = 5
_CALLED = 5  # people and groups; one reply stands for a few steps at most
_LIMITS = (80, 40, 16)  # units of a name. Tried from the widest on until the whole message fits

_SIGNS: Mapping[Event, str] = {
    Event.JOINED: "➕",
    Event.REPEATED: "🔁",
    Event.WORSE: "🔺",
    Event.FLAPPING: "🎢",
    Event.ESCALATED: "⏫",
    Event.ACKNOWLEDGED: "👤",
    Event.SNOOZED: "⏸️",
    Event.SNOOZE_OVER: "▶️",
    Event.DISOWNED: "➡️",
    Event.STALE: "💤",
    Event.HEARD_AGAIN: "👂",
    Event.RESOLVED: "✅",
    Event.SUPERSEDED_RUN: "✅",
    Event.SUSPECT: "❓",
}


def render_reply(card: Card, happenings: Sequence[Happening], *, names: Mapping[str, str]) -> Payload:
    """The reply below the message that shows `card`. `names`: of teams, channels and people, by their ids.

    It calls whom the happenings call, and is broadcast then; not any more where all of it has ended.
    """
    thread = _Thread(card, names)
    calling = [] if card.state is IncidentState.RESOLVED else [one for one in happenings if one.calls]
    called = _called(card, calling)
    for limit in _LIMITS:
        payload = Payload(
            kind="reply",
            text=text.sentences(
                thread.facts.words, [thread.drill, thread.what(limit), *thread.spoken(happenings, limit)]
            ),
            blocks=(section("\n".join(thread.lines(happenings, limit, called=called, alone=bool(calling)))),),
            mention=called,
            broadcast=bool(calling),
        )
        if fits(payload) and markup.units(payload.text) <= text.CEILING:
            break
    return payload


def _called(card: Card, calling: Sequence[Happening]) -> str:
    """Everybody whom these call, each once."""
    handles = [Mention(handle=one.mention) if one.mention is not None else card.mention for one in calling]
    called = dict.fromkeys(markup.mention(handle) for handle in handles if handle is not None)
    return " ".join(list(called)[:_CALLED])


def _kept(happenings: Sequence[Happening]) -> set[int]:
    """The places of those that are told one by one."""
    places = range(len(happenings))
    if len(places) <= LINES:
        return set(places)
    calling = [place for place in reversed(places) if happenings[place].calls]
    wanted = dict.fromkeys([*calling, *places[:_FIRST], *reversed(places)])
    return set(list(wanted)[: LINES - 1])


class _Thread:
    """One incident, and what the ids of its happenings are called."""

    def __init__(self, card: Card, names: Mapping[str, str]) -> None:
        self.facts = Facts(card)
        self._names = names

    @property
    def drill(self) -> str:
        return self.facts.words.drill if self.facts.drill else ""

    def what(self, limit: int) -> str:
        facts, words = self.facts, self.facts.words
        name, where = markup.prose(facts.names[0], 2 * limit) or words.unnamed, facts.place(limit=limit)
        return words.what.format(name=name, where=markup.prose(where, limit)) if where else name

    def lines(self, happenings: Sequence[Happening], limit: int, *, called: str, alone: bool) -> Iterator[str]:
        """`alone`: the channel sees it apart from the message that says what it is about."""
        head = [f"*{self.what(limit).replace('*', '∗')}*"] if alone else []
        if self.drill:
            head.insert(0, f"🧪 {self.drill}")
        if head:
            yield DOT.join(head)
        yield from self._told(happenings, Voice(limit=limit))
        if called:
            yield called

    def spoken(self, happenings: Sequence[Happening], limit: int) -> Iterator[str]:
        return self._told(happenings, Voice(limit=limit, spoken=True))

    def _told(self, happenings: Sequence[Happening], voice: Voice) -> Iterator[str]:
        """A line each. Of what is too long to be read the middle is counted, but for what calls somebody."""
        kept = _kept(happenings)
        hidden = len(happenings) - len(kept)
        for place, one in enumerate(happenings):
            if place in kept:
                line = self._line(one, voice)
                yield line if voice.spoken else f"{_SIGNS[one.event]} {line}"
            elif hidden:
                yield self.facts.words.more_happenings.format(n=hidden)
                hidden = 0

    def _line(self, one: Happening, voice: Voice) -> str:
        facts, words = self.facts, self.facts.words
        line = words.counted(
            voice.template(self._template(one)),
            one.count,
            duration=words.duration(one.at - facts.card.opened_at),
            level=words.levels[one.level or facts.card.severity],
            who=self._called_by(one, voice),
            reason=reason(facts, one.reason, count=one.count, at=one.at) if one.reason is not None else "",
            team=self._team(one.team, voice),
            whose=words.of_whom(self._team(one.team, voice)),
            by=self._person(one.by or "", voice),
            when=facts.clock(one.until or one.at) if voice.spoken else facts.moment(one.until or one.at),
            heartbeat=markup.code(next(iter(one.names), ""), voice.limit),
        )
        if one.event is Event.JOINED and one.names:
            shown = " ".join(markup.code(name, voice.limit) for name in one.names[:_NAMES])
            return f"{line}{words.colon}{shown}"
        if self._asks_to_acknowledge(one):
            return f"{line} {words.acknowledge_by.format(command=acknowledge_command(facts))}"
        return line

    def _asks_to_acknowledge(self, one: Happening) -> bool:
        """Whether the lead is called by this very reply, who finds no button above it and still can take it."""
        card = self.facts.card
        called = one.event is Event.ESCALATED and self._is_here(one) and one.reason is not EscalationReason.ORPHANED
        return called and self.facts.open and card.acknowledged is None and not card.buttons

    def _template(self, one: Happening) -> str:
        words = self.facts.words
        if one.event is Event.SNOOZE_OVER and one.by is not None:
            return words.snooze_ended
        if one.event is not Event.ESCALATED or not self._is_here(one):
            return words.happenings[one.event]
        return words.still_nobodys if one.reason is EscalationReason.ORPHANED else words.lead_called

    def _is_here(self, one: Happening) -> bool:
        """Whether this very reply is what calls."""
        first = self.facts.card.first_channel
        return first is not None and first.id == one.channel_id

    def _called_by(self, one: Happening, voice: Voice) -> str:
        channel = f"#{self._name(one.channel_id, voice)}" if one.channel_id is not None else ""
        team = self._name(one.team, voice) if one.team is not None else ""
        template = self.facts.words.team_in if team else self.facts.words.channel_alone
        return template.format(team=team, channel=channel)

    def _team(self, team: str | None, voice: Voice) -> str:
        return self._name(team, voice) if team is not None else owner_of(self.facts, voice.limit)

    def _name(self, id: str | None, voice: Voice) -> str:
        return markup.prose(self._names.get(id or "", id or ""), voice.limit)

    def _person(self, by: str, voice: Voice) -> str:
        """By name only: the token of a Slack user would call that one here, where it is posted."""
        if by not in self._names and markup.person(by) is not None:
            return self.facts.words.named_above
        return self._name(by, voice) or self.facts.words.colleague
