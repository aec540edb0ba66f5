"""What a digest says, and that it fits and stays harmless whatever its titles hold."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from router.core.digests import DigestMember, digest_card
from router.core.history import Acknowledgement, Escalation, EscalationReason, Snooze, Suspicion
from router.core.incidents import Move
from router.core.model import (
    Channel,
    IncidentState,
    Language,
    Level,
    MessageKind,
    Rerun,
    RerunSafety,
    Source,
    Stage,
    Undelivered,
)
from router.notify import layout
from router.notify.digests import LINES, render_digest
from router.notify.layout import Payload, plain
from router.notify.markup import escaped_units, units
from router.notify.text import CEILING
from router.preview.rates import Rates
from router.preview.workspace import ChannelSeed, UsergroupSeed
from tests.core.digest_members import (
    NOW,
    PAYMENTS,
    UNSAFE,
    check_in,
    member,
    minutes,
    orphan,
    ownership,
    resolved,
    undelivered,
)
from tests.notify.hostile import NASTY, assert_nothing_live, mrkdwn_of, texts, texts_of
from tests.preview.workspace import Client
from tests.slack import SlackServer

MAP = ownership()
LANGUAGES = {language: replace(MAP, language=language) for language in Language}
CALLED = "<!subteam^S0PAYMENTS>"
RUNBOOK = "https://runbooks.example.com/checkout/high-error-rate"
SPLIT_ABOVE = 4_000  # Slack makes several messages of a longer text


def told(*members: DigestMember, language: Language | None = None) -> Payload:
    in_force = MAP if language is None else LANGUAGES[language]
    return render_digest(digest_card(members, ownership=in_force, wanted_at=NOW))


def header(payload: Payload) -> str:
    return str(payload.blocks[0]["text"]["text"])


def sections(payload: Payload) -> list[str]:
    return [str(block["text"]["text"]) for block in payload.blocks if block["type"] == "section"]


def lines(payload: Payload) -> list[str]:
    """Every line that stands for an incident."""
    return [line for section in sections(payload) for line in section.split("\n") if " · ref `" in line]


def footer(payload: Payload) -> list[str]:
    return [element["text"] for block in payload.blocks for element in block.get("elements", ())]


def mixed() -> Sequence[DigestMember]:
    return (
        member("HighErrorRate", severity=Level.CRITICAL, alerts=3, within="15m", runbook=RUNBOOK),
        member("KubeJobFailed", stage=Stage.JOB, entry="billing-close", severity=Level.HIGH, reruns=(UNSAFE,)),
        member("SlowQueries", entry="reports", severity=Level.LOW, reruns=(Rerun(),)),
        resolved("CertExpiresSoon"),
    )


def test_a_digest_says_how_many_how_bad_until_when_and_why_it_is_one_message() -> None:
    """Readable from the top: what is called for, then the lines, then how to read them."""
    payload = told(*mixed())
    assert payload.kind == "digest"
    assert header(payload) == "📦 DIGEST · 🔴 CRITICAL · 3 of 4 incidents firing, 5 alerts"
    assert sections(payload)[0].split("\n") == [
        f"{CALLED}  🔴 1 CRITICAL  🔶 1 HIGH  🔵 1 LOW",
        "*First deadline: 20:18 JST (<!date^1795259880^{time}|2026-11-21 11:18 UTC>)*",
        "One message for 4 incidents, the most urgent first: Slack takes about one a second for a channel.",
    ]
    assert sections(payload)[1] == "⛔ *Do not rerun all of these blindly.* `billing-close`"
    assert footer(payload) == [
        "Rerun: ✅ Safe  ⛔ Unsafe  ❔ Unknown: not declared",
        "Where a line says nothing of it: no deadline, no runbook.",
        "Lines turn to ✅ as incidents end. What fires on gets a message of its own at its next notice.",
        "Nothing was dropped. More about a line, by its ref: `/api/v1/notifications/ref`",
    ]


def test_a_line_says_what_somebody_needs_who_acts_on_it() -> None:
    """State and severity by sign, name, entry of the map, how many, deadline, rerun, runbook, since, reference."""
    at = "<!date^1795258980^{time}|2026-11-21 11:03 UTC>"
    assert lines(told(*mixed())) == [
        (
            "🔴  *HighErrorRate*  service `checkout`  ×3 · "
            "respond until <!date^1795259880^{time}|2026-11-21 11:18 UTC> · Rerun ✅ · "
            f"<{RUNBOOK}|Runbook (runbooks.example.com)> · since {at} · ref `0000000000007`"
        ),
        (f"🔶  *KubeJobFailed*  job `billing-close` · Rerun ⛔ it sends invoices · since {at} · ref `0000000000007`"),
        f"🔵  *SlowQueries*  service `reports` · Rerun ❔ · since {at} · ref `0000000000007`",
        (
            "✅  *CertExpiresSoon*  service `checkout` · "
            "resolved <!date^1795261500^{time}|2026-11-21 11:45 UTC> · for 42 min · ref `0000000000007`"
        ),
    ]


def test_the_text_alone_says_the_same() -> None:
    """For screen readers, phones, and where Slack refuses the blocks; it mentions nobody a second time."""
    payload = told(*mixed())
    assert payload.text.split("\n") == [
        (
            "DIGEST: 3 of 4 incidents firing, 5 alerts. 1 CRITICAL, 1 HIGH, 1 LOW. First deadline: 20:18 JST. "
            "⛔ Do not rerun all of these blindly. "
            "One message for 4 incidents, the most urgent first: Slack takes about one a second for a channel"
        ),
        (
            "• CRITICAL firing: HighErrorRate on service checkout, ×3, respond until 20:18 JST, Rerun: safe, "
            f"ref 0000000000007  {RUNBOOK}"
        ),
        "• HIGH firing: KubeJobFailed on job billing-close, Rerun: unsafe, ref 0000000000007",
        "• LOW firing: SlowQueries on service reports, Rerun: not declared, ref 0000000000007",
        "• Resolved after 42 min: CertExpiresSoon on service checkout, ref 0000000000007",
    ]
    assert plain(payload) == Payload(kind="digest", text=f"{CALLED}  {payload.text}")


def test_in_japanese() -> None:
    """The words of the team, the names as they are."""
    payload = told(*(replace(one, incident=replace(one.incident, owner="ledger")) for one in mixed()))
    assert header(payload) == "📦 まとめ · 🔴 重大 · インシデント 4 件中 3 件発生中、アラート 5 件"
    assert sections(payload)[0].startswith("<!subteam^S0LEDGER01>  🔴 重大 1  🔶 高 1")
    assert lines(payload)[1].startswith("🔶  *KubeJobFailed*  ジョブ `billing-close` · 再実行 ⛔ it sends invoices")
    assert payload.text.split("\n")[1].startswith(
        "• 【重大・発生中】サービス checkout で HighErrorRate、×3、20:18 JST までに対応、再実行: 可"
    )


@pytest.mark.parametrize(
    ("member", "expected"),
    [
        pytest.param(orphan(), "🟨  *QueueBacklog*  🧭 No owner · ", id="orphan"),
        pytest.param(
            undelivered(),
            "🟨  *DiskWillFill*  service `checkout`  📭 #pay-alerts of Payments, is_archived · ",
            id="undelivered",
        ),
        pytest.param(
            member(kind=MessageKind.COPY, within="15m", runbook=RUNBOOK),
            "🟨  *HighErrorRate*  service `checkout`  📄 For information only, Owner: Payments · since ",
            id="a copy asks nothing of its readers",
        ),
        pytest.param(
            member(own_ts="1763722980.000100", within="15m", runbook=RUNBOOK),
            "🟨  *HighErrorRate*  service `checkout` · ↪ has its own message · since ",
            id="what has its own message says the rest there",
        ),
        pytest.param(check_in(), "🟨 ⏰ MISSED CHECK-IN  *nightly-export* · ", id="missed check-in"),
        pytest.param(
            check_in(state=IncidentState.RESOLVED), "✅ CHECKED IN  *nightly-export* · resolved ", id="checked in"
        ),
        pytest.param(
            member(state=IncidentState.STALE), "💤 NO NEWS  *HighErrorRate*  service `checkout` · ref ", id="stale"
        ),
        pytest.param(member(""), "🟨  *unnamed alert*  ", id="without a name"),
        pytest.param(
            member(opened_at=NOW - timedelta(days=2)),
            "🟨  *HighErrorRate*  service `checkout` · Rerun ✅ · since <!date^1795086180^{date_short_pretty} ",
            id="of another day",
        ),
    ],
)
def test_line(member: DigestMember, expected: str) -> None:
    """Each says why it stands here and what became of it, with the signs of other messages."""
    (line,) = lines(told(member))
    assert line.startswith(expected), line


def test_a_moved_incident_says_where_it_went() -> None:
    """Its reply has no message to stand below."""
    one = resolved()
    gone = Move(incident="i-2", owner="ledger", channel_id="C0LEDGER01", alerts=1)
    moved = replace(one, incident=replace(one.incident, moved_to=(gone,), handed_over=True))
    assert lines(told(moved))[0].startswith("➡️ MOVED  *CertExpiresSoon*  service `checkout` · #ledger-alerts · ref")


def test_the_fallback_channel_is_told_what_to_put_right() -> None:
    """Orphans need an owner; a channel that refused is named once, with what to do about it."""
    payload = told(orphan("A"), orphan("B"), undelivered("C"), undelivered("D"))
    assert sections(payload)[0].startswith("<!subteam^S0PLATFRM1>  🟨 4 NORMAL\n")
    assert sections(payload)[1].split("\n") == [
        "🧭 2 without an owner: find who knows about them, and name that team in the ownership map.",
        (
            "📭 #pay-alerts (`C0PAYALERT`) of Payments refused the message: `is_archived`.  "
            "Unarchive it, or give the team another channel in the map."
        ),
    ]


def test_owners_are_named_where_they_differ() -> None:
    """Two teams that share a channel are both called, and each line says whose it is."""
    payload = told(member("A"), member("B", owner="ledger"))
    assert payload.mention == f"{CALLED} <!subteam^S0LEDGER01>"
    assert "*A*  service `checkout`  Payments · " in lines(payload)[0]
    assert "*B*  service `checkout`  Ledger · " in lines(payload)[1]


@pytest.mark.parametrize(
    ("members", "sign"),
    [
        pytest.param([resolved("A"), resolved("B")], "✅", id="all resolved"),
        pytest.param([resolved("A"), member("B", state=IncidentState.STALE)], "💤", id="one without news"),
    ],
)
def test_when_nothing_fires_any_more(members: Sequence[DigestMember], sign: str) -> None:
    """It says so in the header, calls nobody and asks for nothing; without news it does not claim an end."""
    payload = told(*members)
    assert header(payload) == f"{sign} DIGEST · none of 2 incidents fires any more"
    assert payload.mention == ""
    assert "<!subteam" not in "".join(texts_of(payload))
    assert footer(payload) == ["Nothing was dropped. More about a line, by its ref: `/api/v1/notifications/ref`"]


@pytest.mark.parametrize(
    "only",
    [
        pytest.param(member(kind=MessageKind.COPY, reruns=(UNSAFE,), within="15m"), id="copies"),
        pytest.param(member(own_ts="1.1", reruns=(UNSAFE,), within="15m"), id="those with messages of their own"),
    ],
)
def test_what_calls_elsewhere_calls_nobody_here(only: DigestMember) -> None:
    """No mention, no deadline, no warning: another message has them."""
    payload = told(only)
    assert payload.mention == ""
    assert len(sections(payload)) == 2
    assert "deadline" not in sections(payload)[0]


def test_lines_are_not_folded() -> None:
    """Slack folds a section of more than five lines; the sixth incident would be behind a click."""
    payload = told(*(member(f"A{number}") for number in range(12)))
    assert [section.count("\n") + 1 for section in sections(payload)[1:]] == [5, 5, 2]


@pytest.mark.parametrize(
    ("owner", "words"),
    [
        pytest.param("payments", ("respond until", "Rerun ✅"), id="English"),
        pytest.param("ledger", ("までに対応", "再実行 ✅"), id="Japanese"),
    ],
)
def test_thirty_ordinary_lines_keep_what_people_act_on(owner: str, words: tuple[str, str]) -> None:
    """A full digest has entry, deadline, rerun sign and runbook on every line, and every reference in its text."""
    payload = told(
        *(
            member(f"HighErrorRate{n}", entry=f"checkout-{n}", within="15m", runbook=RUNBOOK, owner=owner)
            for n in range(LINES)
        )
    )
    assert_fits(payload)
    assert len(lines(payload)) == LINES
    for line in lines(payload):
        for word in (*words, "`checkout-", f"<{RUNBOOK}|"):
            assert word in line
    assert payload.text.count("ref 0000000000007") == LINES


def test_more_than_thirty_are_counted() -> None:
    """The caller keeps to thirty; if it did not, nothing would be lost in silence."""
    payload = told(*(member(f"A{number}") for number in range(LINES + 2)))
    assert len(lines(payload)) == LINES
    assert sections(payload)[-1].endswith("\n+2 more")
    assert payload.text.endswith("\n+2 more")


def assert_fits(payload: Payload) -> None:
    """Our ceilings, which are well below Slack's limits."""
    found = [str(node["text"]) for node in mrkdwn_of(payload.blocks)]
    assert 0 < units(payload.text) <= CEILING
    assert units(plain(payload).text) < SPLIT_ABOVE
    assert len(payload.blocks) <= 12
    assert payload.attachments == ()
    assert sum(map(units, found)) + units(header(payload)) <= layout.BLOCKS_TEXT_CEILING
    assert len(json.dumps(payload.blocks)) <= layout.BLOCKS_JSON_CEILING
    assert all(0 < units(text) <= layout.SECTION_CEILING for text in found)
    assert 0 < escaped_units(header(payload)) <= layout.HEADER_CEILING
    assert len(footer(payload)) <= 4
    assert all(units(element) <= layout.CONTEXT_CEILING for element in footer(payload))


reruns = st.builds(Rerun, safety=st.sampled_from(RerunSafety), when=st.none() | texts, how=st.none(), ask=st.none())
members = st.builds(
    member,
    texts,
    owner=st.sampled_from([None, "payments", "ledger"]) | texts,
    kind=st.sampled_from([MessageKind.ROOT, MessageKind.COPY, MessageKind.UNDELIVERED]),
    own_ts=st.none() | st.just("1763722980.000100"),
    undelivered=st.none() | st.builds(Undelivered, channel=st.builds(Channel, name=texts, id=texts), reason=texts),
    state=st.sampled_from(IncidentState),
    severity=st.sampled_from(Level),
    source=st.sampled_from(Source),
    stage=st.sampled_from(Stage),
    entry=st.none() | texts,
    alerts=st.integers(1, 12),
    reruns=st.lists(reruns, min_size=1, max_size=2).map(tuple),
    runbook=st.none() | texts | st.just(RUNBOOK),
    within=st.none() | st.sampled_from(["15m", "2d"]),
    truncated=st.integers(0, 10_000),
)


@settings(max_examples=120, deadline=None)
@given(
    found=st.lists(members, min_size=1, max_size=6),
    times=st.sampled_from([1, 1, 5]),
    language=st.sampled_from(Language),
)
def test_any_digest_fits_and_nothing_in_it_is_live(found: list[DigestMember], times: int, language: Language) -> None:
    """Whatever titles, entries and the map's free texts hold: within our ceilings, and only our own tokens live."""
    payload = told(*found * times, language=language)
    assert_fits(payload)
    bare = payload.text
    for mention in payload.mention.split(" "):
        assert not mention or mention not in bare
    for text in texts_of(payload):
        for mention in payload.mention.split(" "):
            text = text.replace(mention, "") if mention else text
        assert_nothing_live(text, links=("http://", "https://"))
    assert all(node["verbatim"] is True for node in mrkdwn_of(payload.blocks))
    json.dumps(payload.blocks, ensure_ascii=False).encode()


@pytest.mark.parametrize("language", list(Language))
@pytest.mark.parametrize("source", list(Source))
@pytest.mark.parametrize("text", ["x" * 10_000, "&" * 10_000, "🔥" * 10_000, '"' * 10_000, "語" * 10_000, "\x01"])
def test_the_worst_digest_fits(text: str, source: Source, language: Language) -> None:
    """Thirty lines whose every part is at its longest, in what is most expensive to write; each still has its line."""
    refused = Undelivered(channel=Channel(name=text, id=text), reason=text)
    worst = [
        member(
            f"{text}",
            owner=owner,
            kind=kind,
            undelivered=replace(refused, reason=f"{number}{text}") if kind is MessageKind.UNDELIVERED else None,
            source=source,
            stage=Stage.NAMESPACE,
            entry=text,
            alerts=12,
            reruns=(replace(UNSAFE, when=text), Rerun()),
            runbook=f"https://r.example/{text}",
            within="2d",
            truncated=10_000,
            opened_at=NOW - minutes(3_000 + number),
        )
        for number, (owner, kind) in enumerate(
            [("payments", MessageKind.UNDELIVERED), (text, MessageKind.UNDELIVERED), (text, MessageKind.COPY)] * 10
        )
    ]
    payload = told(*(_lived(one, text) for one in worst), language=language)
    assert_fits(payload)
    assert len(lines(payload)) == payload.text.count("ref 0000000000007") == LINES


def _lived(member_: DigestMember, text: str) -> DigestMember:
    """The same, after everything that people and timers can do about it."""
    step = Escalation(
        step=0, to="fallback", channel_id=text, reason=EscalationReason.UNACKNOWLEDGED, at=NOW, mention=text
    )
    incident = replace(
        member_.incident,
        acknowledged=Acknowledgement(by=text, at=NOW),
        snoozed=Snooze(by=text, at=NOW, until=NOW),
        escalations=(step,),
        flaps=3,
        suspect=Suspicion(heartbeat=text, lost_at=NOW),
    )
    return replace(member_, incident=incident)


def test_a_line_says_who_has_it_and_who_was_told() -> None:
    """By a word each, as long as it fires."""
    payload = told(_lived(member(), "U0LEADPAY1"))
    (line,) = lines(payload)
    assert " · 👤 acknowledged · ⏸️ snoozed · 🎢 fires again and again · ⏫ escalated · " in line
    assert ", acknowledged, snoozed, fires again and again, escalated, " in payload.text
    ended = told(_lived(resolved(), "U0LEADPAY1"), language=Language.JAPANESE)
    assert "対応中" not in ended.text + "".join(lines(ended))


def test_an_end_that_is_not_sure_is_no_green_line() -> None:
    """The alarm was broken when it was told to be over."""
    payload = told(_lived(resolved(), "U0LEADPAY1"))
    assert header(payload).startswith("❓ DIGEST")
    assert lines(payload)[0].startswith("❓ MAY NOT BE OVER")
    assert "✅" not in lines(payload)[0]
    assert "it may not be over" in payload.text


@pytest.mark.parametrize("language", list(Language))
def test_slack_takes_any_digest(language: Language) -> None:
    """Posted, edited and as text alone, without one violation of the strict rules, whatever the titles hold."""
    with SlackServer(clock=NOW.timestamp, rates=Rates.unlimited()) as slack:
        slack.emulator.seed(
            channels=[ChannelSeed(id=PAYMENTS, name="pay-alerts")],
            usergroups=[
                UsergroupSeed(id=id_, handle=id_.lower()) for id_ in ("S0PAYMENTS", "S0LEDGER01", "S0PLATFRM1")
            ],
        )
        client = Client(slack)
        for text in NASTY:
            payload = told(*_every_kind(text), language=language)
            ts = _post(client, payload)
            _post(client, plain(payload))
            over = told(resolved(text), check_in(text, state=IncidentState.RESOLVED), language=language)
            client.ok(
                "chat.update",
                channel=PAYMENTS,
                ts=ts,
                text=over.text,
                blocks=over.blocks,
                attachments=[],
                parse="none",
            )
        assert slack.emulator.violations == []
        # Whom the hostile texts name is not called, and an edit calls nobody.
        assert {entry.target for entry in slack.emulator.notified if entry.target[0] == "S"} == {
            "S0PAYMENTS",
            "S0PLATFRM1",
        }


def _every_kind(text: str) -> Iterable[DigestMember]:
    refused = Undelivered(channel=Channel(name=text, id=text), reason=text)
    return (
        member(text, entry=text, within="15m", runbook=f"https://runbooks.example.com/{text}"),
        member(text, entry=text, reruns=(replace(UNSAFE, when=text),), own_ts="1763722980.000100"),
        member(text, entry=text, reruns=(replace(UNSAFE, when=text),), runbook=text),
        member(text, entry=text, kind=MessageKind.COPY, owner=text),
        member(text, entry=text, kind=MessageKind.UNDELIVERED, owner=text, undelivered=refused),
        member(text, state=IncidentState.STALE),
        orphan(text),
        check_in(text),
        resolved(text),
    )


def _post(client: Client, payload: Payload) -> str:
    return client.post(channel=PAYMENTS, text=payload.text, blocks=payload.blocks, attachments=payload.attachments)
