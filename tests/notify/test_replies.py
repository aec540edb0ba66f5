"""What a thread tells: each happening once, in order, whom it calls, and what it never does."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from router.core.history import EscalationReason, Event, Happening
from router.core.message_card import Card
from router.core.model import IncidentState, Language, Level, Mention, MessageKind
from router.notify.layout import BLOCKS_JSON_CEILING, SECTION_CEILING, Payload, plain
from router.notify.markup import units
from router.notify.replies import LINES, render_reply
from router.notify.text import CEILING
from tests.notify import cards
from tests.notify.cards import LEAD, NOW, card, happened, orphan, resolved
from tests.notify.hostile import assert_nothing_live, mrkdwn_of, texts, texts_of

NAMES = {"payments": "Payments", "commerce": "Commerce", "ledger": "Ledger", "C0COMMERCE": "commerce"}
OWNER = "<!subteam^S0PAYMENTS>"


def reply(*happenings: Happening, told: Card | None = None, **changed: Any) -> Payload:  # Any: the fields of Card
    return render_reply(told or card(**changed), happenings, names=NAMES)


def lines(payload: Payload) -> list[str]:
    (block,) = payload.blocks
    text: str = block["text"]["text"]
    return text.split("\n")


AT = "20:03 JST (<!date^1763722980^{time}|2025-11-21 11:03 UTC>)"
LEAD_CALLED = happened(
    Event.ESCALATED,
    team="payments",
    channel_id=cards.PAYMENTS.id,
    mention=LEAD,
    reason=EscalationReason.UNACKNOWLEDGED,
)
PARENT_CALLED = happened(
    Event.ESCALATED, team="commerce", channel_id="C0COMMERCE", reason=EscalationReason.UNACKNOWLEDGED
)


@pytest.mark.parametrize(
    ("happening", "expected"),
    [
        pytest.param(
            happened(Event.JOINED, count=2, names=("checkout-7", "checkout-9")),
            "➕ *2 more alerts*: `checkout-7` `checkout-9`",
            id="joined",
        ),
        pytest.param(happened(Event.JOINED, count=1), "➕ *1 more alert*", id="joined, without a name"),
        pytest.param(
            happened(Event.REPEATED, minutes=180, count=4), "🔁 *Still firing after 3 h*, notice 4", id="repeated"
        ),
        pytest.param(
            happened(Event.FLAPPING, count=5),
            "🎢 *Fires again and again:* 5 times until now. From here on it is only counted.",
            id="flapping",
        ),
        pytest.param(
            PARENT_CALLED, "⏫ *Escalated* to Commerce, #commerce: unacknowledged for 30 min.", id="to a team"
        ),
        pytest.param(
            happened(Event.ESCALATED, channel_id="C0X", reason=EscalationReason.REPEATED, count=6),
            "⏫ *Escalated* to #C0X: it came again 6 times.",
            id="to the fallback",
        ),
        pytest.param(
            happened(Event.ACKNOWLEDGED, by="hana"),
            "👤 *Acknowledged* by hana. Nobody else is called.",
            id="acknowledged",
        ),
        pytest.param(
            happened(Event.DISOWNED, by="hana", team="ledger"), "➡️ *It is Ledger's,* says hana.", id="disowned"
        ),
        pytest.param(
            happened(Event.DISOWNED, by="hana", team="payments"),
            "➡️ *It is Payments',* says hana.",
            id="disowned, to a name that ends in s",
        ),
        pytest.param(
            happened(Event.STALE),
            "💤 *No news:* it was not told again when it should have been. It may be over or not.",
            id="stale",
        ),
        pytest.param(happened(Event.HEARD_AGAIN), "👂 *Heard of again:* it still fires.", id="heard again"),
        pytest.param(happened(Event.RESOLVED, minutes=42), "✅ *Resolved* after 42 min.", id="resolved"),
        pytest.param(
            happened(Event.SUPERSEDED_RUN, until=NOW),
            f"✅ *Over:* a newer run of the job succeeded at {AT}.",
            id="a newer run",
        ),
        pytest.param(
            happened(Event.SUSPECT, names=("Watchdog",)),
            "❓ *May not be over:* it ended shortly before or while the heartbeat `Watchdog` was lost.",
            id="suspect",
        ),
    ],
)
def test_each_happening_is_one_line_that_calls_nobody(happening: Happening, expected: str) -> None:
    """What, in few words, with the facts of it."""
    payload = reply(happening)
    assert lines(payload) == [expected]
    assert (payload.kind, payload.mention, payload.broadcast) == ("reply", "", False)


@pytest.mark.parametrize(
    ("happening", "expected", "called"),
    [
        pytest.param(happened(Event.WORSE, level=Level.CRITICAL), "🔺 *Worse:* now CRITICAL.", OWNER, id="worse"),
        pytest.param(
            happened(Event.SNOOZE_OVER), "▶️ *The snooze is over,* and it still fires.", OWNER, id="snooze over"
        ),
        pytest.param(
            happened(Event.SNOOZE_OVER, mention="S0PAYMENTS"),
            "▶️ *The snooze is over,* and it still fires.",
            OWNER,
            id="snooze over, named",
        ),
        pytest.param(
            LEAD_CALLED,
            "⏫ *The lead of Payments is called:* unacknowledged for 30 min.",
            f"<@{LEAD}>",
            id="the lead",
        ),
    ],
)
def test_what_calls_is_broadcast_and_says_what_it_is_about(happening: Happening, expected: str, called: str) -> None:
    """The channel sees it without the message above; the text beside the blocks holds no mention."""
    payload = reply(happening, buttons=True)
    assert lines(payload) == ["*HighErrorRate on checkout (prod-eu)*", expected, called]
    assert (payload.mention, payload.broadcast) == (called, True)
    assert called not in payload.text
    alone = plain(payload)
    assert alone.text.startswith(f"{called}  HighErrorRate on checkout (prod-eu). ")
    assert alone.broadcast


@pytest.mark.parametrize(
    ("language", "expected"),
    [
        pytest.param(
            Language.ENGLISH,
            "⏫ *The lead of Payments is called:* unacknowledged for 30 min. "
            "To acknowledge: `router incident ack 0nbrxr3v00a2m-1`",
            id="English",
        ),
        pytest.param(
            Language.JAPANESE,
            "⏫ *Payments のリーダーを呼び出します:* 30 分間応答なし。 "
            "対応するには: `router incident ack 0nbrxr3v00a2m-1`",
            id="Japanese",
        ),
    ],
)
def test_without_buttons_the_lead_reads_how_to_take_it(language: Language, expected: str) -> None:
    """By the command; not any more where somebody has it, or it is over."""
    assert lines(reply(LEAD_CALLED, language=language))[1] == expected
    for told in (card(acknowledged=cards.ACKNOWLEDGED), resolved(), card(buttons=True)):
        assert "router incident" not in json.dumps(reply(LEAD_CALLED, told=told).blocks)
    assert "router incident" not in json.dumps(reply(PARENT_CALLED).blocks), "who is called has a message of their own"


def test_in_japanese_a_step_and_an_owner_read_as_they_are_said() -> None:
    """The channel in brackets; no possessive."""
    assert lines(reply(PARENT_CALLED, language=Language.JAPANESE)) == [
        "⏫ Commerce（#commerce）に *エスカレーション*: 30 分間応答なし。"
    ]
    disowned = happened(Event.DISOWNED, by="hana", team="payments")
    assert lines(reply(disowned, language=Language.JAPANESE)) == ["➡️ *担当は Payments* と hana が回答しました。"]
    suspect = happened(Event.SUSPECT, names=("Watchdog",))
    assert lines(reply(suspect, language=Language.JAPANESE)) == [
        "❓ *未解決の恐れ:* ハートビート `Watchdog` の停止中、またはその少し前に終了しました。"
    ]


def test_whoever_watches_the_fallback_channel_is_reminded_of_what_nobody_owns() -> None:
    """In the thread of the orphan itself: find whose it is."""
    reminder = happened(
        Event.ESCALATED, channel_id="C0ORPHANS1", mention="S0PLATFRM", reason=EscalationReason.ORPHANED, minutes=1440
    )
    payload = reply(reminder, told=orphan(first_channel=cards.ORPHANS))
    assert lines(payload)[1] == (
        "⏫ *Still nobody's:* without an owner for 1 d. Find who knows about it, and say whose it is."
    )
    assert payload.mention == "<!subteam^S0PLATFRM>"


@pytest.mark.parametrize(
    "told",
    [
        pytest.param(card(), id="a Slack user without a known name"),
        pytest.param(card(language=Language.JAPANESE), id="in Japanese"),
    ],
)
@pytest.mark.parametrize("event", [Event.ACKNOWLEDGED, Event.SNOOZED, Event.DISOWNED])
def test_who_pressed_is_not_called_by_the_reply(told: Card, event: Event) -> None:
    """A token in a new post rings; on the message above, which is edited, the same token only shows the name."""
    payload = reply(happened(event, by=LEAD, team="ledger"), told=told)
    assert LEAD not in payload.text + json.dumps(payload.blocks)
    assert not payload.broadcast


def test_a_person_whose_name_is_known_is_named() -> None:
    """By the names that are given."""
    payload = render_reply(card(), [happened(Event.ACKNOWLEDGED, by=LEAD)], names={LEAD: "mika"})
    assert lines(payload) == ["👤 *Acknowledged* by mika. Nobody else is called."]


def test_several_are_one_reply_in_their_order() -> None:
    """Oldest first; one call for all."""
    payload = reply(happened(Event.JOINED, count=1), happened(Event.WORSE, level=Level.HIGH), LEAD_CALLED, buttons=True)
    assert [line[0] for line in lines(payload)] == ["*", "➕", "🔺", "⏫", "<"]
    assert lines(payload)[-1] == f"{OWNER} <@{LEAD}>"
    assert payload.text == (
        "HighErrorRate on checkout (prod-eu). 1 more alert. Worse: now HIGH. "
        "The lead of Payments is called: unacknowledged for 30 min"
    )


def test_of_many_the_beginning_and_the_end_are_told() -> None:
    """At most ten lines, and how many are between."""
    happenings = [happened(Event.JOINED, number=number, count=number) for number in range(1, 31)]
    told = lines(reply(*happenings))
    assert len(told) == LINES
    assert told[3:6] == ["➕ *4 more alerts*", "… 21 more …", "➕ *26 more alerts*"]
    assert len(lines(reply(*happenings[:LINES]))) == LINES


def test_who_is_called_reads_why() -> None:
    """Also where that happened in the middle of much else."""
    quiet = [happened(Event.JOINED, number=number, count=number) for number in range(1, 31)]
    told = lines(reply(*quiet[:15], LEAD_CALLED, *quiet[15:], buttons=True))
    assert "⏫ *The lead of Payments is called:* unacknowledged for 30 min." in told
    assert "… 22 more …" in told
    assert len(told) == LINES + 2  # and what it is about, and who is called


def test_nobody_is_called_for_what_has_ended() -> None:
    """It got worse and was over before the reply went out."""
    payload = reply(happened(Event.WORSE, level=Level.CRITICAL), happened(Event.RESOLVED), told=resolved())
    assert (payload.mention, payload.broadcast) == ("", False)
    assert len(lines(payload)) == 2


def test_what_is_stale_still_calls() -> None:
    """Nobody knows that it is over."""
    assert reply(LEAD_CALLED, state=IncidentState.STALE).broadcast


@pytest.mark.parametrize("language", list(Language))
def test_every_happening_has_words(language: Language) -> None:
    """In both languages, with a sign, and read aloud without one."""
    told = {happening.event for happening in cards.every_happening()}
    assert told == set(Event)
    for happening in cards.every_happening():
        payload = reply(happening, language=language)
        assert payload.text.strip(".。")
        assert "*" not in payload.text
        assert "{" not in payload.text
        assert not set(payload.text) & set("➕🔁🔺🎢⏫👤💤👂✅❓")


people = texts | st.just(LEAD)
happenings = st.builds(
    Happening,
    number=st.integers(1, 99),
    event=st.sampled_from(Event),
    at=st.just(NOW),
    count=st.integers(0, 10_000),
    names=st.lists(texts, max_size=9).map(tuple),
    by=st.none() | people,
    level=st.none() | st.sampled_from(Level),
    team=st.none() | texts,
    channel_id=st.none() | texts | st.just(cards.PAYMENTS.id),
    mention=st.none() | texts | st.just("S0PAYMENTS"),
    until=st.none() | st.just(NOW),
    reason=st.none() | st.sampled_from(EscalationReason),
)


@settings(max_examples=150, deadline=None)
@given(
    told=st.lists(happenings, min_size=1, max_size=14),
    name=texts,
    language=st.sampled_from(Language),
    kind=st.sampled_from([MessageKind.ROOT, MessageKind.REPLY]),
)
def test_any_reply_fits_and_nothing_in_it_is_live(
    told: list[Happening], name: str, language: Language, kind: MessageKind
) -> None:
    """Names of people, alerts and teams come from outside: only our own tokens live, below our ceilings."""
    labels = {**cards.LABELS, "alertname": name, "service": name}
    payload = render_reply(
        card(kind=kind, language=language, alerts=(cards.shown(labels),)), told, names={"payments": name, "C0X": name}
    )
    for text in texts_of(payload):
        assert_nothing_live(text, mention=payload.mention)
    assert_nothing_live(payload.text)
    found = [str(node["text"]) for node in mrkdwn_of(payload.blocks)]
    assert all(0 < units(text) <= SECTION_CEILING for text in found)
    assert len(json.dumps(payload.blocks)) <= BLOCKS_JSON_CEILING
    assert units(payload.text) <= CEILING
    assert len(lines(payload)) <= LINES + 2
    assert payload.broadcast == any(one.calls for one in told)
    json.dumps(payload.blocks, ensure_ascii=False).encode()


@pytest.mark.parametrize("text", ["x" * 10_000, "&" * 10_000, "🔥" * 10_000, "語" * 10_000])
@pytest.mark.parametrize("language", list(Language))
def test_the_worst_reply_fits(text: str, language: Language) -> None:
    """Ten lines, every name in them at its longest."""
    worst = [
        happened(event, names=(text,) * 9, by=text, team=text, channel_id=text, mention=f"{text}{number}", reason=why)
        for number, (event, why) in enumerate(
            [(Event.JOINED, None), (Event.DISOWNED, None), (Event.ESCALATED, EscalationReason.REPEATED)] * 5
        )
    ]
    payload = reply(*worst, language=language, alerts=(cards.shown(dict.fromkeys(cards.LABELS, text)),))
    assert sum(units(line) + 1 for line in lines(payload)) <= SECTION_CEILING
    assert len(json.dumps(payload.blocks)) <= BLOCKS_JSON_CEILING
    assert units(payload.text) <= CEILING


def test_a_mention_that_is_a_handle_is_text() -> None:
    """As everywhere: Slack does not resolve it, and nothing of it is live."""
    payload = reply(happened(Event.WORSE, level=Level.HIGH), mention=Mention(handle="@pay-oncall"))
    assert payload.mention == "@pay-oncall"
    assert payload.broadcast


def test_the_reason_of_a_step_counts_what_it_was_taken_for() -> None:
    """Repeats of one incident, or that it came again and again."""
    escalated = happened(Event.ESCALATED, channel_id="C0X", reason=EscalationReason.REPEATED, count=6, minutes=180)
    assert "told again 6 times in 3 h" in reply(escalated, repeats=6).text
    assert "it came again 6 times" in reply(escalated, repeats=1).text
    assert "it came again 6 times" in reply(escalated, repeats=6, flaps=2).text
