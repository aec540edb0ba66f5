"""What a message says of people and timers: who has it, who was told, and what is not sure."""

import json
from dataclasses import replace
from datetime import timedelta

import pytest

from router.core.enrichment import filled_command
from router.core.history import Acknowledgement, EscalationReason
from router.core.message_card import Card
from router.core.model import IncidentState, Language, MessageKind, Rerun, RerunSafety, Undelivered
from router.notify.layout import Payload
from router.notify.messages import render, render_move
from tests.notify import cards
from tests.notify.cards import (
    ACKNOWLEDGED,
    CONDITIONAL,
    LEAD,
    NOW,
    SAFE,
    SNOOZED,
    SUSPICION,
    UNSAFE,
    card,
    escalated,
    job,
    pods,
    resolved,
    step,
)

EVERY = cards.every_kind(Language.ENGLISH)


def header(payload: Payload) -> str:
    return str(payload.blocks[0]["text"]["text"])


def sections(payload: Payload) -> list[str]:
    return [block["text"]["text"] for block in payload.blocks if block["type"] == "section" and "text" in block]


def fields(payload: Payload) -> dict[str, str]:
    found = [field["text"] for block in payload.blocks for field in block.get("fields", ())]
    return {label.strip("*"): value for label, _, value in (text.partition("\n") for text in found)}


def footer(payload: Payload) -> str:
    return str(next(block["elements"][0]["text"] for block in payload.blocks if block["type"] == "context"))


def written(payload: Payload) -> str:
    return json.dumps([payload.blocks, payload.attachments], ensure_ascii=False)


# -- who has it ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("by", "shown", "spoken"),
    [
        pytest.param(LEAD, f"<@{LEAD}>", "a colleague", id="a Slack user"),
        pytest.param("hana", "hana", "hana", id="a name from the command line"),
        pytest.param("<!channel>", "&lt;!channel&gt;", "&lt;!channel&gt;", id="not a name"),
        pytest.param("U0<@U0LEADPAY1>", "U0&lt;@U0LEADPAY1&gt;", "U0&lt;@U0LEADPAY1&gt;", id="nearly an id"),
        pytest.param("", "a colleague", "a colleague", id="nobody said who"),
    ],
)
def test_who_acknowledged_and_when(by: str, shown: str, spoken: str) -> None:
    """On the team's clock and the reader's; a user's token shows the name, and is not in the text."""
    payload = render(card(acknowledged=Acknowledgement(by=by, at=NOW + timedelta(minutes=7))))
    at = "20:10 JST (<!date^1763723400^{time}|2025-11-21 11:10 UTC>)"
    assert sections(payload)[0] == f"👤 *Acknowledged* by {shown} at {at}. Nobody else is called."
    assert f"Acknowledged by {spoken} at 20:10 JST. Nobody else is called. " in payload.text


def test_until_when_it_is_snoozed() -> None:
    """With the day, where it is another one for the team."""
    payload = render(card(snoozed=SNOOZED))
    assert sections(payload)[0].startswith("⏸️ *Snoozed* until 2025-11-22 00:03 JST (<!date^1763737380^")
    assert "Snoozed until 2025-11-22 00:03 JST by a colleague" in payload.text


SINCE = "20:10 JST (<!date^1763723400^{time}|2025-11-21 11:10 UTC>)"
HAD_IT = {
    Language.ENGLISH: f"👤 *Acknowledged* by <@{LEAD}> at {SINCE}.",
    Language.JAPANESE: f"👤 *対応者*: <@{LEAD}>（{SINCE} から）。",
}


@pytest.mark.parametrize("language", list(Language))
@pytest.mark.parametrize(
    "told",
    [
        pytest.param(resolved(), id="resolved"),
        pytest.param(resolved(suspect=SUSPICION), id="suspect"),
        pytest.param(cards.given_away(), id="given away"),
        pytest.param(card(state=IncidentState.STALE), id="stale"),
        pytest.param(EVERY["step over"], id="where it was escalated to"),
    ],
)
def test_what_does_not_fire_still_says_who_had_it(told: Card, language: Language) -> None:
    """The thread says that they are named here; that nobody else is called goes without saying then."""
    payload = render(replace(told, acknowledged=ACKNOWLEDGED, language=language))
    (found,) = [line for section in sections(payload) for line in section.split("\n") if LEAD in line and "👤" in line]
    assert found == HAD_IT[language]
    assert payload.mention == ""
    assert LEAD not in payload.text


def test_what_does_not_fire_still_says_who_snoozed_it() -> None:
    """For the same reason; who was called meanwhile is in the thread."""
    payload = render(resolved(snoozed=SNOOZED, escalations=(step("parent"),)))
    assert sections(payload)[0].startswith("⏸️ *Snoozed* until 2025-11-22 00:03 JST (")
    assert sections(payload)[0].endswith(f" by <@{LEAD}>.")
    assert "Escalated" not in written(payload)


def test_a_person_said_whose_it_is() -> None:
    """Who, for which team, what that makes of the map; and the footer does not say that the map did."""
    payload = render(cards.assigned())
    assert sections(payload)[0] == f"➡️ *<@{LEAD}> said that this is yours, not Payments'.*"
    assert sections(payload)[2].startswith("*If so, correct the map:*\n```# ownership.yaml:41\nservices:")
    assert "the ownership map changed" not in written(payload)
    assert footer(payload).startswith("Owner by a person's word; by the map Payments, service `checkout` (")
    assert "a colleague said that this is yours, not Payments'" in payload.text


def test_a_person_said_whose_an_orphan_is() -> None:
    """There was no other team."""
    payload = render(cards.claimed())
    assert sections(payload)[0] == "➡️ *hana said that this is yours.* By the map it is nobody's."
    assert footer(payload).startswith("Owner by a person's word; by the map nobody (")
    assert footer(render(cards.claimed(language=Language.JAPANESE))).startswith(
        "担当の根拠: 人の回答。マップでは担当なし（"
    )


@pytest.mark.parametrize(
    ("told", "english", "japanese"),
    [
        pytest.param(
            cards.assigned(),
            f"➡️ *<@{LEAD}> said that this is yours, not Payments'.*",
            f"➡️ *<@{LEAD}> が、Payments ではなくこのチームの担当だと回答しました。*",
            id="the owner",
        ),
        pytest.param(
            EVERY["assigned, and escalated"],
            f"➡️ *<@{LEAD}> said that this is Ledger's.*",
            f"➡️ *<@{LEAD}> が、Ledger の担当だと回答しました。*",
            id="where it was escalated to",
        ),
        pytest.param(
            cards.claimed(kind=MessageKind.COPY),
            "➡️ *hana said that this is Ledger's.*",
            "➡️ *hana が、Ledger の担当だと回答しました。*",
            id="a copy of what nobody owned",
        ),
        pytest.param(
            cards.claimed(undelivered=Undelivered(channel=cards.PAYMENTS, reason="is_archived")),
            "➡️ *hana said that this is Ledger's.*",
            "➡️ *hana が、Ledger の担当だと回答しました。*",
            id="in the fallback channel, instead of the owner's",
        ),
    ],
)
def test_only_the_owner_reads_that_it_is_yours(told: Card, english: str, japanese: str) -> None:
    """Others read whose it is; nobody reads of which team whoever said so is, because anybody may press."""
    assert english in written(render(told))
    assert ("this is yours" in render(told).text) == ("this is yours" in english)
    assert japanese in written(render(replace(told, language=Language.JAPANESE)))


def test_where_it_was_before_says_who_took_it_away() -> None:
    """Not that the map changed; with the correction, for whoever said so."""
    payload = render(cards.given_away())
    assert header(payload).startswith("➡️ MOVED")
    assert sections(payload)[0] == f"➡️ 3 alerts went to Ledger, #ledger: <@{LEAD}> said that this is theirs."
    assert "*If so, correct the map:*" in written(payload)
    assert LEAD not in written(render_move(cards.given_away())), "a reply is posted, and would call"


# -- what is not sure ----------------------------------------------------------------------------------------------


def test_what_flaps_says_so() -> None:
    """Counted, and also when it is over: it may come back."""
    assert sections(render(card(flaps=7)))[0] == (
        "🎢 *Fires again and again:* 7 more times since that was noticed, and only counted."
    )
    ended = render(resolved(flaps=1))
    assert sections(ended)[0] == "🎢 *It fired again and again,* 1 more time since that was noticed: it may come back."


def test_what_is_shown_is_not_all() -> None:
    """The sender left alerts out; where all the others resolved, it may go on."""
    assert sections(render(card(truncated=195)))[0] == "✂️ *Not all is shown:* the sender left out 195 more alerts."
    payload = render(EVERY["only the left out"])
    assert header(payload).startswith("🔴 CRITICAL"), "open"
    assert sections(payload)[0].startswith(
        "✂️ *All that was told is resolved, but the sender left out 195 more:* it may go on."
    )
    assert sections(payload)[1].startswith("Last firing value: 5xx")
    assert "All that was told is resolved" in payload.text


def test_stale_says_since_when_and_what_to_do() -> None:
    """When it was last told, to look, and where."""
    payload = render(EVERY["stale"])
    since = "20:03 JST (<!date^1763722980^{time}|2025-11-21 11:03 UTC>)"
    assert sections(payload)[0].startswith(f"*Nothing was heard of it since {since}.*  It may be over or not: look")
    assert "|Query>" in sections(payload)[1]


def test_an_end_while_the_alarm_was_broken_is_no_green_one() -> None:
    """Neither in the header, nor by colour, nor on a line, nor in the text."""
    payload = render(resolved(suspect=SUSPICION))
    assert header(payload) == "❓ MAY NOT BE OVER · HighErrorRate · checkout (prod-eu)"
    assert "while the heartbeat `Watchdog of prod-eu` was lost, since 20:23 JST" in sections(payload)[0]
    assert "✅" not in written(payload)
    assert payload.attachments[0]["color"] == "#757575"
    assert payload.text.startswith("Told resolved, but it may not be over: HighErrorRate")
    assert payload.mention == ""


@pytest.mark.parametrize(
    ("ended", "english", "japanese"),
    [
        pytest.param(
            timedelta(minutes=19),
            "*As it was told, it ended shortly before the heartbeat `Watchdog of prod-eu` was lost, at 20:23 JST",
            "*通知によれば、ハートビート `Watchdog of prod-eu` が停止する（20:23 JST",
            id="before",
        ),
        pytest.param(
            timedelta(minutes=20),
            "*It was told to be resolved while the heartbeat `Watchdog of prod-eu` was lost, since 20:23 JST",
            "*解決の通知は、ハートビート `Watchdog of prod-eu` の停止中（20:23 JST",
            id="while",
        ),
    ],
)
def test_an_end_before_the_alarm_broke_is_not_told_as_one_meanwhile(
    ended: timedelta, english: str, japanese: str
) -> None:
    """A few minutes before it is in doubt, too."""
    told = resolved(suspect=SUSPICION, closed_at=NOW + ended)
    assert sections(render(told))[0].startswith(english)
    assert sections(render(replace(told, language=Language.JAPANESE)))[0].startswith(japanese)


@pytest.mark.parametrize(
    ("language", "expected"),
    [
        pytest.param(Language.ENGLISH, "✅ *A newer run of the job succeeded* at 20:28 JST (", id="English"),
        pytest.param(Language.JAPANESE, "✅ *このジョブの新しい実行が* 20:28 JST (", id="Japanese"),
    ],
)
def test_an_end_by_a_newer_run_says_so(language: Language, expected: str) -> None:
    """It was not its own run that recovered."""
    payload = render(replace(EVERY["over by a newer run"], language=language))
    assert sections(payload)[0].startswith(expected)
    assert expected.removeprefix("✅ ").removesuffix(" (").replace("*", "") in payload.text
    assert not sections(render(replace(EVERY["over by a newer run"], newer_run_at=None)))[0].startswith("✅")


# -- who else was told ---------------------------------------------------------------------------------------------


def test_the_owner_sees_who_was_told_why_and_when() -> None:
    """The last three steps one by one."""
    lead = "20:33 JST (<!date^1763724780^{time}|2025-11-21 11:33 UTC>)"
    parent = "20:48 JST (<!date^1763725680^{time}|2025-11-21 11:48 UTC>)"
    assert sections(render(EVERY["with steps"]))[0].split("\n") == [
        f"⏫ *Escalated* to the lead of Payments at {lead}: unacknowledged for 30 min.",
        f"⏫ *Escalated* to Commerce, #commerce at {parent}: unacknowledged for 45 min.",
    ]
    many = render(card(escalations=tuple(step("parent", minutes=number) for number in range(5))))
    assert len(sections(many)[0].split("\n")) == 4
    assert sections(many)[0].endswith("\n⏫ +2 more")


@pytest.mark.parametrize(
    ("told", "why"),
    [
        pytest.param(
            escalated(step("parent")), "Nobody of Payments acknowledged this for 30 min.", id="unacknowledged"
        ),
        pytest.param(
            escalated(step("parent", reason=EscalationReason.REPEATED, count=6, minutes=180), repeats=6),
            "Payments was told again 6 times in 3 h, and this still fires.",
            id="told again",
        ),
        pytest.param(
            escalated(step("parent", reason=EscalationReason.REPEATED, count=6)),
            "This comes again and again, 6 times until now. Payments has it.",
            id="came again",
        ),
        pytest.param(
            escalated(step("parent", reason=EscalationReason.ORPHANED, minutes=1440), owner=None),
            "Still nobody's after 1 d: no team said that this is theirs.",
            id="nobody's",
        ),
    ],
)
def test_an_escalation_says_first_why_and_whom_it_calls(told: Card, why: str) -> None:
    """Whoever is called does not own it: why, what to do, where it began; once, and not beside the owner's name."""
    payload = render(told)
    assert header(payload) == "⏫ ESCALATED · CRITICAL · HighErrorRate · checkout (prod-eu)" + (
        "  ×7" if told.repeats else ""
    )
    lines = sections(payload)[0].split("\n")
    assert lines[0] == f"*{why}*  <!subteam^S0COMMERCE>"
    assert lines[2] == (
        "First message: <https://example.slack.com/archives/C0PAYALERT/p1763722985000100|#payments-alerts>"
    )
    assert written(payload).count("<!subteam^") == 1
    assert payload.mention == "<!subteam^S0COMMERCE>"
    assert payload.text.startswith(f"Escalated: {why} CRITICAL")


def test_an_escalation_says_who_was_called_before_and_how_to_stop_it() -> None:
    """By its button, else by a command."""
    steps = (step("lead", minutes=15), step("parent", minutes=30))
    lines = sections(render(escalated(*steps, buttons=True)))[0].split("\n")
    assert lines[1] == "Take it, or find somebody who does: *Acknowledge* stops the next step."
    assert lines[2].endswith("  ·  Called before: the lead of Payments")
    assert "This stops the next step: `router incident ack 0nbrxr3v00a2m-1`" in sections(render(escalated(*steps)))[0]
    after = sections(render(escalated(*steps, step("fallback", minutes=45))))[0].split("\n")
    assert after[2].endswith("  ·  Called before: the lead of Payments; Commerce, #commerce")


@pytest.mark.parametrize(
    ("language", "expected"),
    [
        pytest.param(Language.ENGLISH, "Take it, or find somebody who does.", id="English"),
        pytest.param(Language.JAPANESE, "引き受けるか、担当を探してください。", id="Japanese"),
    ],
)
def test_the_last_step_promises_no_next_one(language: Language, expected: str) -> None:
    """There it is only asked who takes it, and without buttons how that is said."""
    told = replace(EVERY["last step"], language=language)
    assert sections(render(told))[0].split("\n")[1] == expected
    by_command = sections(render(replace(told, buttons=False)))[0].split("\n")[1]
    assert by_command.startswith(f"{expected} ")
    assert by_command.endswith(": `router incident ack 0nbrxr3v00a2m-1`")


def test_in_japanese_a_duration_and_a_channel_read_as_they_are_said() -> None:
    """応答がない時間 with 間, once; the channel of a team in brackets."""
    told = card(
        language=Language.JAPANESE, escalations=(step("parent", minutes=1), step("fallback", minutes=180), step("lead"))
    )
    first, second, lead = sections(render(told))[0].split("\n")
    assert first.startswith("⏫ Commerce（#commerce）に *エスカレーション*（")
    assert first.endswith(": 1 分間応答なし。")
    assert second.startswith("⏫ 「#ops-orphans」に *エスカレーション*（")
    assert second.endswith(": 3 時間応答なし。")
    assert lead.startswith("⏫ Payments のリーダーに *エスカレーション*（")
    called = render(escalated(step("parent"), language=Language.JAPANESE))
    assert "*Payments の誰も 30 分間応答していません。*" in sections(called)[0]


def test_an_escalation_that_was_refused_calls_once() -> None:
    """Why it is called, and whose channel has to be put right."""
    refused = Undelivered(channel=cards.COMMERCE, reason="is_archived", team="Commerce")
    payload = render(escalated(step("parent"), undelivered=refused))
    assert sections(payload)[1].startswith("#commerce (`C0COMMERCE`) of Commerce refused the message: `is_archived`.\n")
    assert written(payload).count("<!subteam^S0COMMERCE>") == 1


def test_without_its_address_the_first_message_is_named_by_its_channel() -> None:
    """Slack may not have it yet, or not have said where."""
    payload = render(escalated(step("parent"), first_message=None))
    assert sections(payload)[0].endswith("\nFirst message: #payments-alerts")


def test_an_escalation_that_somebody_took_calls_nobody_any_more() -> None:
    """By whom, in the first line."""
    payload = render(escalated(step("parent"), acknowledged=ACKNOWLEDGED))
    assert header(payload).startswith("👤 ACKNOWLEDGED · CRITICAL")
    assert sections(payload)[0].startswith(f"👤 *Acknowledged* by <@{LEAD}> at 20:10 JST")
    assert payload.mention == ""
    assert "<!subteam^" not in written(payload)


def test_an_escalation_ends_with_its_incident() -> None:
    """Edited to resolved, as the message of the owner; where that is not sure, it does not say that all is done."""
    payload = render(EVERY["step over"])
    assert header(payload) == "✅ RESOLVED · HighErrorRate · checkout (prod-eu)"
    assert sections(payload)[0].startswith("⏫ It was escalated here at 20:33 JST")
    assert "unacknowledged for 30 min. Nothing is left to do." in sections(payload)[0]
    assert payload.text.startswith("Resolved after 42 min")
    unsure = render(
        escalated(step("parent"), state=IncidentState.RESOLVED, alerts=pods(firing=0, resolved=1), suspect=SUSPICION)
    )
    assert header(unsure).startswith("❓ MAY NOT BE OVER")
    assert "Nothing is left to do" not in written(unsure)


# -- to run it again -----------------------------------------------------------------------------------------------

UNTIL = "2025-11-23 20:03 JST (<!date^1763895780^{date_short_pretty} {time}|2025-11-23 11:03 UTC>)"


@pytest.mark.parametrize(
    ("rerun", "expected"),
    [
        pytest.param(SAFE, "*Rerun:* ✅ *Safe*: deduplicates on `order_id`", id="safe"),
        pytest.param(Rerun(safety=RerunSafety.SAFE), "*Rerun:* ✅ *Safe*: it may be run again", id="safe, no reason"),
        pytest.param(
            CONDITIONAL,
            f"*Rerun:* ⚠️ *With care*: {CONDITIONAL.when}\nAsk payments  ·  Rerunning helps until {UNTIL}\n"
            f"```{CONDITIONAL.how}```",
            id="with care",
        ),
        pytest.param(
            replace(UNSAFE, ask="ledger"),
            f"⛔ *Do not rerun blindly.* {UNSAFE.when}\n*Rerun*: unsafe, ask ledger",
            id="unsafe",
        ),
        pytest.param(
            Rerun(safety=RerunSafety.NOT_NEEDED),
            "*Rerun:* ➖ *Not needed*: the next run supersedes it",
            id="not needed",
        ),
        pytest.param(Rerun(), "*Rerun:* ❔ *Unknown: not declared.* Ask before you run it again.", id="not declared"),
        pytest.param(
            Rerun(safety=RerunSafety.SAFE, recover_within="soon"),
            "*Rerun:* ✅ *Safe*: it may be run again\nRecover within soon",
            id="until nobody knows when",
        ),
    ],
)
@pytest.mark.parametrize("kind", [MessageKind.ROOT, MessageKind.COPY, MessageKind.UNDELIVERED])
def test_of_a_job_the_first_line_says_whether_to_run_it_again(rerun: Rerun, expected: str, kind: MessageKind) -> None:
    """Before what is wrong, once, with the command and until when it helps."""
    payload = render(job(rerun, kind=kind))
    first = 1 if kind is MessageKind.COPY else 0
    assert sections(payload)[first] == expected
    assert "Rerun" not in fields(payload)
    assert "How to rerun" not in written(payload)


def test_of_a_job_the_text_says_it_first() -> None:
    """Behind what it is, before what is wrong."""
    assert render(job()).text.startswith(
        "CRITICAL firing: KubeJobFailed on billing-close (prod-eu). Rerun: with care, ask payments. "
        "Rerunning helps until 2025-11-23 20:03 JST. Job pay/billing-close failed to complete. "
    )


@pytest.mark.parametrize(
    ("language", "expected"),
    [
        pytest.param(Language.ENGLISH, "✏️ *Fill in `{namespace}`:*", id="English"),
        pytest.param(Language.JAPANESE, "✏️ *`{namespace}` を補って実行:*", id="Japanese"),
    ],
)
def test_a_command_that_cannot_be_pasted_says_what_to_fill_in(language: Language, expected: str) -> None:
    """What the labels of a check-in do not have stays a placeholder."""
    how = "kubectl -n {namespace} create job --from=cronjob/{cronjob|lower} x-${N} && kubectl -n {namespace} get jobs"
    one = job(replace(CONDITIONAL, how=filled_command(how, {"cronjob": "close"})), language=language)
    lines = sections(render(one))[0].split("\n")
    assert lines[-2] == expected
    assert lines[-1].startswith("```kubectl -n {namespace} create job --from=cronjob/close x-${N}")
    among_facts = render(replace(one, about_job=False))
    (told,) = [section for section in sections(among_facts) if "```" in section]
    assert expected.replace(":*", "*").lower() in told.split("\n")[0]
    assert "✏️" not in written(render(job(language=language)))


@pytest.mark.parametrize(
    ("heard_after", "late"),
    [
        pytest.param(timedelta(hours=47, minutes=59), False, id="in time"),
        pytest.param(timedelta(days=2), True, id="at the end"),
    ],
)
def test_too_late_to_run_it_again(heard_after: timedelta, late: bool) -> None:
    """Then the command is not offered any more."""
    told = sections(render(job(heard_at=NOW + heard_after)))[0]
    assert told.startswith(f"⌛ *Too late to rerun, since {UNTIL}*\n") == late
    assert ("kubectl" in told) == (not late)


def test_what_is_no_job_has_its_rerun_among_the_facts() -> None:
    """An error rate is looked at first."""
    payload = render(card())
    assert sections(payload)[0].startswith("5xx ratio")
    assert fields(payload)["Rerun"].startswith("✅ Safe")


def test_what_ended_is_not_run_again() -> None:
    """No guidance where nothing is to be done."""
    payload = render(job(state=IncidentState.RESOLVED, closed_at=NOW))
    assert "Rerun" not in written(payload)
    assert "Rerun" not in payload.text
