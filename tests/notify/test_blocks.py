"""What a message says, in which order, and that it never grows beyond what Slack takes."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import product
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from router.core.heartbeats import Heartbeat, Lost, Why, notice_of
from router.core.history import Acknowledgement, Assignment, Escalation, EscalationReason, Snooze, Suspicion
from router.core.message_card import Card, CardAlert, CardEscalation, Handover
from router.core.model import (
    Cause,
    Channel,
    IncidentState,
    Language,
    Level,
    Mention,
    MessageKind,
    Nearest,
    OrphanHelp,
    Rerun,
    RerunSafety,
    Source,
    Stage,
    Tried,
    Undelivered,
    Via,
)
from router.notify import layout
from router.notify.layout import Payload, plain, resent
from router.notify.markup import escaped_units, units
from router.notify.messages import render
from router.notify.notices import render_notice
from router.notify.text import CEILING
from tests.notify import cards
from tests.notify.cards import CONDITIONAL, LABELS, NOW, SUMMARY, UNSAFE, card, hints, pods, shown
from tests.notify.hostile import assert_nothing_live, mrkdwn_of, texts, texts_of

GROUP = Mention(handle="S0PAYMENTS")
CALLED = "<!subteam^S0PAYMENTS>"
LINK_HOSTS = ("https://runbooks.example.com/", "https://alertmanager.example.com/")


def header(payload: Payload) -> str:
    return str(payload.blocks[0]["text"]["text"])


def sections(payload: Payload) -> list[str]:
    return [block["text"]["text"] for block in payload.blocks if block["type"] == "section" and "text" in block]


def fields(payload: Payload) -> dict[str, str]:
    found = [field["text"] for block in payload.blocks for field in block.get("fields", ())]
    return {label.strip("*"): value for label, _, value in (text.partition("\n") for text in found)}


def footer(payload: Payload) -> list[str]:
    return [element["text"] for block in payload.blocks for element in block.get("elements", ())]


def lines(payload: Payload) -> list[str]:
    text: str = payload.attachments[0]["blocks"][0]["text"]["text"]
    return text.split("\n")


def everything(payload: Payload) -> str:
    return "\n".join(texts_of(payload)) + header(payload)


def test_a_firing_message_has_the_parts_of_the_design_in_their_order() -> None:
    """Header, summary, fields, links, footer; the instances folded into the coloured attachment."""
    payload = render(card())
    assert [block["type"] for block in payload.blocks] == ["header", "section", "section", "section", "context"]
    assert header(payload) == "🔴 CRITICAL · HighErrorRate · checkout (prod-eu)"
    assert sections(payload)[0] == "5xx ratio is 7.3 % (threshold &gt; 5 %) for 10 min on checkout"
    assert fields(payload) == {
        "Owner": f"Payments  {CALLED}",
        "Severity": "🔴 CRITICAL\nrespond until 20:18 JST (<!date^1763723880^{time}|2025-11-21 11:18 UTC>)",
        "Service / env": "checkout / prod-eu / shop",
        "Firing since": "<!date^1763722980^{date_short_pretty} {time}|2025-11-21 11:03 UTC>",
        "Rerun": "✅ Safe: deduplicates on `order_id`",
    }
    links = sections(payload)[1]
    assert [part.rpartition("|")[2] for part in links.split("  ·  ")] == [
        "Runbook>",
        "Dashboard>",
        "Query>",
        "Silence>",
    ]
    assert footer(payload) == [
        "Owner by service `checkout` (ownership.yaml:41, map 3f2a91c)  ·  3 alerts  ·  ref `0nbrxr3v00a2m`"
    ]
    assert payload.attachments[0]["color"] == "#B3261E"
    assert lines(payload)[0] == ("•  `checkout-7c9f-1`  9.5 %  since <!date^1763722980^{time}|2025-11-21 11:03 UTC>")


def test_the_text_alone_says_everything() -> None:
    """State, severity, name, where, how many, owner, deadline, rerun, runbook: for phones and screen readers."""
    assert render(card()).text == (
        "CRITICAL firing: HighErrorRate on checkout (prod-eu). "
        "5xx ratio is 7.3 % (threshold &gt; 5 %) for 10 min on checkout. 3 alerts. Owner: Payments. "
        "Respond until 20:18 JST. Rerun: safe. ref 0nbrxr3v00a2m. "
        "Runbook: https://runbooks.example.com/checkout/high-error-rate"
    )


def test_the_text_alone_in_japanese() -> None:
    """Labels are translated, the alert's own words are not."""
    payload = render(card(language=Language.JAPANESE))
    assert header(payload) == "🔴 重大 · HighErrorRate · checkout（prod-eu）"
    assert payload.text == (
        "【重大・発生中】checkout（prod-eu） で HighErrorRate。"
        "5xx ratio is 7.3 % (threshold &gt; 5 %) for 10 min on checkout。3 件。担当: Payments。"
        "20:18 JST までに対応。再実行: 可。ref 0nbrxr3v00a2m。"
        "手順書: https://runbooks.example.com/checkout/high-error-rate"
    )


def test_what_is_missing_is_said() -> None:
    """No deadline, no runbook, no declaration: in words, in the blocks and in the text."""
    payload = render(cards.every_kind(Language.ENGLISH)["nothing declared"])
    assert fields(payload)["Severity"].endswith("no deadline")
    assert fields(payload)["Rerun"] == "❔ Unknown: not declared"
    assert sections(payload)[1].startswith("no runbook")
    for words in ("No deadline", "not declared", "No runbook"):
        assert words in payload.text


@pytest.mark.parametrize(
    ("annotations", "expected"),
    [
        pytest.param({"summary": "s", "description": "d", "message": "m"}, "s", id="summary first"),
        pytest.param({"summary": " ", "description": "d", "message": "m"}, "d", id="then description"),
        pytest.param({"message": "m"}, "m", id="then message"),
        pytest.param({}, "`alertname=A` `zone=tokyo-1`", id="then the labels"),
        pytest.param({"summary": "one\ntwo"}, "one ⏎ two", id="on one line"),
    ],
)
def test_summary(annotations: Mapping[str, str], expected: str) -> None:
    """The first block says in one line what is wrong."""
    payload = render(card(alerts=(shown({"alertname": "A", "zone": "tokyo-1"}, annotations),)))
    assert sections(payload)[0] == expected


def test_several_alertnames_are_counted_in_the_header() -> None:
    """The most urgent one is named, and its lines are told apart by name."""
    payload = render(cards.every_kind(Language.ENGLISH)["several names"])
    assert header(payload) == "🔴 CRITICAL · HighErrorRate +2 more · checkout (prod-eu)"
    assert [line.split("  ")[1] for line in lines(payload)] == ["*HighErrorRate*", "*SlowQueries*", "*DiskWillFill*"]
    assert "Silence" not in sections(payload)[1], "a silence without alertname would be too wide"


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        pytest.param({"service": "checkout", "cluster": "eu"}, " · checkout (eu)", id="service and cluster"),
        pytest.param({"job_name": "close-1", "namespace": "pay"}, " · close-1 (pay)", id="job and namespace"),
        pytest.param({"instance": "10.0.0.1:8080", "pod": "api-0"}, " · api-0", id="the pod, not its exporter"),
        pytest.param({"instance": "db-1:9100", "job": "node"}, " · db-1:9100", id="a scraped machine"),
        pytest.param(
            {"instance": "10.0.0.1:8080", "job": "kube-state-metrics", "cluster": "eu"}, " · eu", id="not the watcher"
        ),
        pytest.param({"cluster": "eu"}, " · eu", id="only a place"),
        pytest.param({"severity": "page"}, "", id="nowhere"),
    ],
)
def test_where(labels: Mapping[str, str], expected: str) -> None:
    """The header says where, as far as the labels do."""
    payload = render(card(alerts=(shown({"alertname": "A", **labels}),)))
    assert header(payload) == f"🔴 CRITICAL · A{expected}"


def test_where_is_only_what_all_alerts_have_in_common() -> None:
    """Two services in one message: neither stands for both."""
    alerts = (shown({**LABELS, "service": "cart"}), shown())
    assert header(render(card(alerts=alerts))) == "🔴 CRITICAL · HighErrorRate · prod-eu"


@pytest.mark.parametrize(
    ("minutes", "timezone", "expected"),
    [
        pytest.param(15, "Asia/Tokyo", "respond until 20:18 JST", id="today"),
        pytest.param(15, "Europe/Berlin", "respond until 12:18 CET", id="another team's zone"),
        pytest.param(60 * 24, "Asia/Tokyo", "respond until 2025-11-22 20:03 JST", id="another day"),
        pytest.param(60 * 5, "Asia/Tokyo", "respond until 2025-11-22 01:03 JST", id="past the team's midnight"),
        pytest.param(15, "America/Sao_Paulo", "respond until 08:18 UTC-03", id="a zone without letters"),
        pytest.param(15, "Mars/Olympus", "respond until 11:18 UTC", id="a zone this machine does not know"),
    ],
)
def test_deadline(minutes: int, timezone: str, expected: str) -> None:
    """The deadline on the team's clock, with its zone, and the date where it is not today."""
    payload = render(card(respond_until=NOW + timedelta(minutes=minutes), timezone=timezone))
    assert expected in fields(payload)["Severity"]
    assert f"{expected[0].upper()}{expected[1:]}" in payload.text


def test_a_line_says_the_day_where_it_is_another() -> None:
    """The field above says on which day it began; an alert that joined on the next day says its own."""
    payload = render(card(alerts=(*pods(firing=1), shown({**LABELS, "pod": "x"}, since=NOW + timedelta(days=1)))))
    assert "since <!date^1763722980^{time}|" in lines(payload)[0]
    assert "since <!date^1763809380^{date_short_pretty} {time}|" in lines(payload)[1]


def test_unsafe_is_the_first_thing_said() -> None:
    """Before the summary and everything that invites to act; and it is not said twice."""
    payload = render(card(alerts=pods(hints=hints(rerun=UNSAFE))))
    assert sections(payload)[0] == "⛔ *Do not rerun blindly.* It sends invoices. Check step 3 of the runbook first."
    assert fields(payload)["Rerun"] == "⛔ Unsafe"
    assert "⛔ Do not rerun blindly. It sends invoices." in payload.text


def test_conditional_shows_when_how_whom_and_how_long() -> None:
    """Everything that the map declares, the command ready to copy."""
    payload = render(card(alerts=pods(hints=hints(rerun=CONDITIONAL))))
    assert fields(payload)["Rerun"] == f"⚠️ With care: {CONDITIONAL.when}"
    reader = "<!date^1763895780^{date_short_pretty} {time}|2025-11-23 11:03 UTC>"
    until = f"Rerunning helps until 2025-11-23 20:03 JST ({reader})"
    assert f"*How to rerun*  ·  ask payments  ·  {until}\n```{CONDITIONAL.how}```" in sections(payload)


def test_unsafe_names_whom_to_ask_and_no_way_to_do_it() -> None:
    """The map forbids `how` for an unsafe job; the heading does not promise it."""
    payload = render(card(alerts=pods(hints=hints(rerun=replace(UNSAFE, ask="payments")))))
    assert "*Rerun*  ·  ask payments" in sections(payload)
    assert "How to rerun" not in everything(payload)


def test_a_command_is_never_cut() -> None:
    """Half a command may do something else: then the map is named instead."""
    rerun = replace(CONDITIONAL, how="kubectl " + "x" * 5_000)
    payload = render(card(alerts=pods(hints=hints(rerun=rerun))))
    assert "xxx" not in everything(payload)
    assert "the command is too long for Slack: see `how` of this job in the map" in everything(payload)


def test_reruns_that_differ_are_said_for_each_alert() -> None:
    """Nothing is shown as if it held for all; an alert without its own declaration is not safe."""
    payload = render(cards.mixed_reruns())
    assert sections(payload)[0].startswith(
        "⛔ *Do not rerun all of these blindly.* `export-29398765`: It sends invoices."
    )
    assert sections(payload)[0].endswith("\n*Rerun:* differs by alert")
    assert "Rerun" not in fields(payload)
    assert sections(payload)[2].startswith("Runbook differs by alert")
    unsafe, safe, undeclared = lines(payload)
    assert "Rerun: ⛔ Unsafe: It sends invoices." in unsafe
    assert "Rerun: ✅ Safe" in safe
    assert safe.endswith("no runbook")
    assert "Rerun: ❔ Unknown: not declared" in undeclared
    assert "Safe" not in undeclared
    assert "Rerun: differs by alert" in payload.text


@pytest.mark.parametrize(
    "changed",
    [
        pytest.param({"firing": 200}, id="not all are shown"),
        pytest.param({"truncated": 5}, id="the sender left some out"),
    ],
)
def test_safe_is_only_said_of_the_alerts_shown(changed: dict[str, int]) -> None:
    """What is not in front of us may be declared otherwise."""
    payload = render(card(**changed))
    assert fields(payload)["Rerun"].endswith("(of the alerts shown)")
    assert "Rerun: safe (of the alerts shown)" in payload.text


def test_resolved_alerts_do_not_speak_for_those_that_fire() -> None:
    """What fires is unsafe, what resolved was safe: the message says unsafe."""
    alerts = (*pods(firing=1, hints=hints(rerun=UNSAFE)), *pods(firing=0, resolved=1))
    assert fields(render(card(alerts=alerts)))["Rerun"] == "⛔ Unsafe"


def test_the_silence_covers_what_the_alerts_have_in_common() -> None:
    """The matchers of Alertmanager's form, quoted as its parser wants them."""
    labels = {"alertname": 'a"b\\c', "http.status": "500"}
    payload = render(card(alerts=(shown(labels),)))
    assert (
        "<https://alertmanager.example.com/#/silences/new?filter="
        "%7Balertname%3D%22a%5C%22b%5C%5Cc%22%2C%22http.status%22%3D%22500%22%7D|Silence>"
    ) in sections(payload)[1]


def test_grafana_brings_its_own_silence_link() -> None:
    """Its external URL has no page of Alertmanager's."""
    url = "https://grafana.example.com/alerting/silence/new?matcher=a%3Db"
    one = shown(silence_url=url)
    payload = render(card(source=Source.GRAFANA, alerts=(one,), sender="https://grafana.example.com/"))
    assert f"<{url}|Silence>" in sections(payload)[1]
    other = shown(silence_url=f"{url}c")
    assert "Silence" not in sections(render(card(source=Source.GRAFANA, alerts=(one, other))))[1]


@pytest.mark.parametrize(
    ("runbook", "annotations", "expected"),
    [
        pytest.param("https://r.example/x", {}, "<https://r.example/x|Runbook>", id="from the map"),
        pytest.param(
            "https://r.example/x",
            {"runbook_url": "https://r.example/x"},
            "<https://r.example/x|Runbook (r.example)>",
            id="from an annotation: its host is shown",
        ),
        pytest.param("wiki: Payments/Close", {}, "Runbook: `wiki: Payments/Close`", id="not a link"),
        pytest.param("javascript:alert(1)", {}, "Runbook: `javascript:alert(1)`", id="not an honest link"),
        pytest.param(None, {}, "no runbook", id="none"),
    ],
)
def test_runbook(runbook: str | None, annotations: Mapping[str, str], expected: str) -> None:
    """A link where it can be one, text where not, and said where there is none."""
    one = shown({"alertname": "A"}, annotations, hints=hints(runbook=runbook))
    payload = render(card(alerts=(one,), sender=""))
    assert sections(payload)[1] == expected


def test_resolved_keeps_the_values_and_calls_nobody() -> None:
    """Green, with the duration, what fired, and no mention; nothing to do any more."""
    payload = render(cards.resolved())
    assert header(payload) == "✅ RESOLVED · HighErrorRate · checkout (prod-eu)"
    assert sections(payload)[0].startswith("Fired for *42 min*.  Last firing value: 5xx ratio is 7.3 %")
    assert fields(payload)["Was"] == "🔴 CRITICAL"
    assert "Rerun" not in fields(payload)
    assert payload.attachments[0]["color"] == "#2E7D32"
    assert lines(payload)[:2] == ["All resolved.", "✅  `checkout-7c9f-1`  9.5 %  for 42 min"]
    assert CALLED not in everything(payload)
    assert payload.mention == ""
    assert payload.text.startswith("Resolved after 42 min: HighErrorRate on checkout (prod-eu).")


def test_partly_resolved_counts_and_ticks() -> None:
    """While something fires the message is red; what resolved is ticked and stands below."""
    alerts = (*pods(firing=0, resolved=2), *pods(firing=3))
    payload = render(card(alerts=alerts))
    assert "2 of 5 resolved" in footer(payload)[0]
    assert [line[0] for line in lines(payload)] == ["•", "•", "•", "✅", "✅"]
    assert "resolved <!date^1763725500^" in lines(payload)[3]
    assert CALLED in fields(payload)["Owner"]


def test_stale_claims_neither_firing_nor_resolved() -> None:
    """Nothing was heard: grey, and the reader is told to look."""
    payload = render(cards.every_kind(Language.ENGLISH)["stale"])
    assert header(payload).startswith("💤 NO NEWS")
    assert "It may be over or not" in sections(payload)[0]
    assert "Resolved" not in fields(payload)
    assert "✅" not in everything(payload)


def test_a_repeat_is_counted_in_the_header() -> None:
    """The fourth notice."""
    payload = render(card(repeats=3))
    assert header(payload).endswith("  ×4")
    assert "notified 4 times" in payload.text


def test_what_the_sender_left_out_is_said() -> None:
    """Alertmanager's max_alerts: the message does not look complete."""
    payload = render(card(truncated=195))
    assert lines(payload)[-1] == "195 more left out by the sender"
    assert "3 alerts, 195 more left out by the sender" in payload.text
    assert "3 alerts, 195 more left out by the sender" in footer(payload)[0]


def test_at_most_ten_instances_are_listed() -> None:
    """The rest is counted."""
    payload = render(card(alerts=pods(firing=10), firing=150, resolved=50))
    assert len(lines(payload)) == 11
    assert lines(payload)[-1] == "+190 more"


def test_severities_that_differ_are_marked_on_each_line() -> None:
    """A group may hold critical and low alerts."""
    low = hints(severity=Level.LOW)
    payload = render(card(alerts=(*pods(firing=1), shown({**LABELS, "pod": "x"}, hints=low))))
    assert [line[0] for line in lines(payload)] == ["🔴", "🔵"]


def test_an_orphan_says_how_to_claim_it() -> None:
    """Who watches is called; what was tried, what is near, and what to paste."""
    payload = render(cards.orphan())
    assert header(payload) == "🧭 NO OWNER · NORMAL · QueueBacklog · legacy-mailer (prod-eu)"
    assert fields(payload)["Owner"] == "none found  <!subteam^S0PLATFRM>"
    claim = sections(payload)[1]
    assert "```services:\n  legacy-mailer:\n    owner: YOUR-TEAM```" in claim
    assert 'Nearest: team `payments` (ownership.yaml:25) – label team="paymnts" is one letter off' in claim
    assert footer(payload)[0].startswith("No entry of the map fits (ownership.yaml:20, map 3f2a91c)")
    assert footer(payload)[1] == '⚠️ unknown team "paymnts"'
    tried = payload.attachments[0]["blocks"][1]["text"]["text"].split("\n")
    assert tried[:2] == ["*Tried*", 'label – label team="paymnts" names no team']
    assert payload.text.startswith("No owner. NORMAL firing: QueueBacklog on legacy-mailer (prod-eu).")


def test_a_resolved_orphan_needs_no_owner_any_more() -> None:
    """The help is gone with the need."""
    payload = render(cards.orphan(state=IncidentState.RESOLVED, closed_at=NOW + timedelta(minutes=5)))
    assert "YOUR-TEAM" not in everything(payload)
    assert header(payload).startswith("✅ RESOLVED")


def test_an_undelivered_message_says_who_refused_and_what_to_do() -> None:
    """In the fallback channel, which is called."""
    payload = render(cards.undelivered())
    assert header(payload) == "📭 UNDELIVERED · CRITICAL · HighErrorRate · checkout (prod-eu)"
    assert sections(payload)[0] == (
        "#payments-alerts (`C0PAYALERT`) of Payments refused the message: `is_archived`.  <!subteam^S0PLATFRM>\n"
        "Unarchive it, or give the team another channel in the map."
    )
    assert fields(payload)["Owner"] == "Payments"
    assert payload.text.startswith("Could not deliver to Payments: Slack says is_archived for #payments-alerts.")


def test_a_copy_calls_nobody_whatever_its_card_says() -> None:
    """`also_notify` is for information."""
    payload = render(card(kind=MessageKind.COPY))
    assert header(payload).startswith("📄 COPY · 🔴 CRITICAL")
    assert sections(payload)[0] == "📄 For information only: Payments is called, you are not."
    assert CALLED not in everything(payload)
    assert payload.mention == ""


def test_a_missed_check_in() -> None:
    """Due when, missed how often, and above all: not to be rerun."""
    payload = render(cards.check_in())
    assert header(payload) == "⏰ MISSED CHECK-IN · CRITICAL · nightly-billing-export (Billing)"
    assert sections(payload)[0].startswith("⛔ *Do not rerun blindly.* It sends invoices.")
    assert fields(payload)["Due"] == "<!date^1763691000^{date_short_pretty} {time}|2025-11-21 02:10 UTC>"
    assert fields(payload)["Missed"] == "×1"
    assert "|Check-in>" in sections(payload)[2]
    assert payload.attachments[0]["color"] == "#6A1B9A"


def test_a_check_in_that_came_after_all() -> None:
    """How late, and not that it is missing."""
    payload = render(cards.check_in(missing=False))
    assert header(payload) == "✅ CHECKED IN · nightly-billing-export (Billing)"
    assert sections(payload)[0] == "Arrived *1 h 5 min late*."
    assert "has not reported" not in everything(payload)
    assert "Received" in fields(payload)


def test_a_check_in_without_news_did_not_come() -> None:
    """Stale is not recovered."""
    payload = render(cards.check_in(state=IncidentState.STALE, closed_at=NOW))
    assert header(payload).startswith("💤 NO NEWS")
    assert "✅" not in everything(payload)


@pytest.mark.parametrize("expected_at", ["", "tomorrow", "2025-11-21 02:10", "\ud800"])
def test_a_check_in_whose_time_cannot_be_read(expected_at: str) -> None:
    """Shown as it came, never guessed."""
    one = shown({"alertname": "CheckInMissing", "checkin": "x"}, {"expected_at": expected_at})
    for state in IncidentState:
        render(cards.check_in(alerts=(one,), state=state, closed_at=NOW))


@pytest.mark.parametrize("cause", list(Cause))
@pytest.mark.parametrize("language", list(Language))
def test_notices(cause: Cause, language: Language) -> None:
    """What happened to the router's own input, how often, and the reference to look it up."""
    payload = render_notice(cards.notice(cause=cause), language, GROUP)
    assert header(payload).startswith("🚨 " if cause is Cause.HEARTBEAT else "🚧 ")
    assert header(payload).endswith("×4")
    assert sections(payload)[0].endswith(CALLED)
    assert "`0nbrxr3v00a2m`" in footer(payload)[0]
    assert "not JSON" in payload.text


def test_a_broken_alarm_says_what_to_look_at() -> None:
    """Which heartbeat, what was seen of it, what may go unheard, when it is over; nothing about dead letters."""
    broken = cards.notice(cause=Cause.HEARTBEAT, subject="Watchdog of <prod>", error="silent since 11:20 UTC", count=1)
    payload = render_notice(broken, Language.ENGLISH, GROUP)
    assert header(payload) == "🚨 ALARM BROKEN · Watchdog of <prod>"
    assert "nobody hears" in sections(payload)[0]
    assert "Prometheus and its Alertmanager" in sections(payload)[0]
    assert "over when this beats again" in sections(payload)[0]
    assert fields(payload)["What happened"] == "`silent since 11:20 UTC`"
    assert fields(payload)["Source"] == "alertmanager"
    assert footer(payload) == ["ref `0nbrxr3v00a2m`"]
    assert payload.text.startswith("ALARM BROKEN: Watchdog of &lt;prod&gt;. The alert that always fires has stopped")

    over = render_notice(replace(broken, ended_at=NOW + timedelta(hours=1)), Language.ENGLISH, GROUP)
    assert header(over) == "✅ OVER: ALARM BROKEN · Watchdog of <prod>"
    assert sections(over)[0].startswith("It beats again")
    assert over.mention == ""


FULL = "<!date^1763722980^{date_short_pretty} {time}|2025-11-21 11:03 UTC>"


@pytest.mark.parametrize(
    ("error", "language", "field", "spoken"),
    [
        pytest.param(
            "silent since 2025-11-21T11:03:00Z",
            Language.ENGLISH,
            f"Silent since {FULL}",
            "Silent since 2025-11-21 11:03 UTC",
            id="silent",
        ),
        pytest.param(
            "resolved at 2025-11-21T11:03:00Z",
            Language.ENGLISH,
            f"Told to be resolved at {FULL}",
            "Told to be resolved at 2025-11-21 11:03 UTC",
            id="resolved",
        ),
        pytest.param(
            "silent since 2025-11-21T11:03:00Z",
            Language.JAPANESE,
            f"{FULL} から届いていません",
            "2025-11-21 11:03 UTC から届いていません",
            id="silent, in Japanese",
        ),
        pytest.param(
            "resolved at 2025-11-21T11:03:00Z",
            Language.JAPANESE,
            f"{FULL} に解決と通知されました",
            "2025-11-21 11:03 UTC に解決と通知されました",
            id="resolved, in Japanese",
        ),
        pytest.param(
            "silent since 2025-99-21Z", Language.ENGLISH, "`silent since 2025-99-21Z`", "2025-99-21Z", id="no instant"
        ),
    ],
)
def test_since_when_the_alarm_is_broken(error: str, language: Language, field: str, spoken: str) -> None:
    """On the reader's clock, in the words of the team; and what ended just before is in doubt, too."""
    payload = render_notice(cards.notice(cause=Cause.HEARTBEAT, error=error), language, GROUP)
    assert field in fields(payload).values()
    assert spoken in payload.text
    doubt = {
        Language.ENGLISH: "What ended in the minutes before, or ends meanwhile, is marked: it may not be over.",
        Language.JAPANESE: "停止の直前や停止中に終了したものには「未解決の恐れ」と表示します。",
    }
    assert doubt[language] in sections(payload)[0]


@pytest.mark.parametrize("why", list(Why))
def test_what_the_watch_over_heartbeats_writes_is_read(why: Why) -> None:
    """Its words and its instant, as they come."""
    at = NOW - timedelta(minutes=3)
    lost = Heartbeat(
        id="x",
        source=Source.ALERTMANAGER,
        fingerprint="f",
        name="Watchdog",
        senders=(1,),
        first_at=at,
        heard_at=at,
        beat_at=at,
        beat_by=1,
        content="",
        until=at,
        lost=Lost(at=NOW, why=why),
    )
    told = render_notice(notice_of(lost, now=NOW), Language.ENGLISH, None)
    assert "<!date^1763722800^" in fields(told)["What happened"]


def test_a_notice_of_something_not_kept_has_no_reference() -> None:
    """A body that was too large is not in the store."""
    payload = render_notice(cards.notice(cause=Cause.TOO_LARGE, reference=None, count=1), Language.ENGLISH, None)
    assert footer(payload) == []
    assert "×" not in header(payload)
    assert "ref 0" not in payload.text


def test_text_alone_calls_whom_the_blocks_called() -> None:
    """When Slack refuses the blocks, the same facts go as text, and somebody is still called."""
    payload = render(card())
    alone = plain(payload)
    assert alone.text == f"{CALLED}  {payload.text}"
    assert (alone.blocks, alone.attachments) == ((), ())
    assert alone.kind == payload.kind


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        pytest.param("firing", "firing", id="firing"),
        pytest.param("repeated", "repeated", id="repeated"),
        pytest.param("resolved", "resolved", id="resolved"),
        pytest.param("stale", "stale", id="stale"),
        pytest.param("orphan", "orphan", id="orphan"),
        pytest.param("copy", "copy", id="copy"),
        pytest.param("undelivered", "undelivered", id="undelivered"),
        pytest.param("check-in missing", "checkin_missing", id="check-in missing"),
        pytest.param("check-in recovered", "checkin_recovered", id="check-in recovered"),
        pytest.param("suspect", "suspect", id="suspect"),
        pytest.param("unacknowledged", "escalated", id="escalated"),
        pytest.param("step over", "escalated", id="what was escalated and ended"),
        pytest.param("given away", "moved", id="said to be another's"),
    ],
)
def test_kind(kind: str, expected: str) -> None:
    """The word for the message's metadata."""
    assert render(cards.every_kind(Language.ENGLISH)[kind]).kind == expected


def assert_within_ceilings(payload: Payload) -> None:
    """Our ceilings, which are well below Slack's limits."""
    whole = [*payload.blocks, *payload.attachments]
    found = [str(node["text"]) for node in mrkdwn_of(whole)]
    assert units(payload.text) <= CEILING
    assert len(payload.blocks) <= 12
    assert len(payload.attachments) <= 1
    assert all(len(attachment["blocks"]) <= 5 for attachment in payload.attachments)
    assert sum(map(units, found)) + units(header(payload)) <= layout.BLOCKS_TEXT_CEILING
    assert len(json.dumps(whole)) <= layout.BLOCKS_JSON_CEILING
    assert all(0 < units(text) <= layout.SECTION_CEILING for text in found)
    assert 0 < escaped_units(header(payload)) <= layout.HEADER_CEILING
    for block in payload.blocks:
        assert all(units(field["text"]) <= layout.FIELD_CEILING for field in block.get("fields", ()))
        assert len(block.get("fields", ())) <= 8
        assert len(block.get("elements", ())) <= 4
        assert len(block.get("block_id", "")) <= 255
        if block["type"] == "context":
            assert all(units(element["text"]) <= layout.CONTEXT_CEILING for element in block["elements"])


names = st.one_of(
    st.sampled_from(
        ["alertname", "service", "cluster", "namespace", "pod", "instance", "checkin", "project", "severity"]
    ),
    texts,
)
keys = st.sampled_from(
    [
        "summary",
        "description",
        "message",
        "value",
        "runbook_url",
        "dashboard_url",
        "link",
        "expected_at",
        "missed_count",
    ]
)
instants = st.datetimes(min_value=datetime(1, 1, 2), max_value=datetime(9999, 12, 30)).map(  # noqa: DTZ001
    lambda naive: naive.replace(tzinfo=NOW.tzinfo)
)
reruns = st.builds(
    Rerun,
    safety=st.sampled_from(RerunSafety),
    when=st.none() | texts,
    how=st.none() | texts,
    ask=st.none() | texts,
    recover_within=st.none() | texts,
)


@st.composite
def card_alerts(draw: st.DrawFn) -> CardAlert:
    return shown(
        draw(st.dictionaries(names, texts, max_size=6)),
        draw(st.dictionaries(keys, texts, max_size=4)),
        firing=draw(st.booleans()),
        hints=hints(rerun=draw(reruns), runbook=draw(st.none() | texts), severity=draw(st.sampled_from(Level))),
        since=draw(st.none() | instants),
        generator_url=draw(texts),
        dashboard_url=draw(texts),
        silence_url=draw(texts),
    )


channels = st.builds(Channel, name=texts, id=texts)
handovers = st.builds(Handover, team=st.none() | texts, channel=channels, alerts=st.integers(1, 9))
people = texts | st.just(cards.LEAD)
card_escalations = st.builds(
    CardEscalation,
    escalation=st.builds(
        Escalation,
        step=st.integers(0, 3),
        to=st.sampled_from(["lead", "parent", "fallback", "payments"]),
        team=st.none() | texts,
        channel_id=texts,
        reason=st.sampled_from(EscalationReason),
        at=instants,
        count=st.integers(0, 9),
        mention=st.none() | texts,
    ),
    team=st.none() | texts,
    channel=channels,
)


@st.composite
def any_card(draw: st.DrawFn) -> Card:
    alerts = tuple(draw(st.lists(card_alerts(), max_size=4)))
    escalations = tuple(draw(st.lists(card_escalations, max_size=5)))
    return card(
        kind=draw(
            st.sampled_from([MessageKind.ROOT, MessageKind.COPY, MessageKind.UNDELIVERED, MessageKind.ESCALATED])
        ),
        buttons=draw(st.booleans()),
        about_job=draw(st.booleans()),
        acknowledged=draw(st.none() | st.builds(Acknowledgement, by=people, at=instants)),
        snoozed=draw(st.none() | st.builds(Snooze, by=people, at=instants, until=instants)),
        assigned=draw(
            st.none() | st.builds(Assignment, by=people, at=instants, instead_of=st.none() | texts, channel_id=texts)
        ),
        assigned_instead_of=draw(texts),
        correction=draw(st.none() | texts),
        flaps=draw(st.integers(0, 3)),
        suspect=draw(st.none() | st.builds(Suspicion, heartbeat=texts, lost_at=instants)),
        escalations=escalations,
        escalation=escalations[-1] if escalations else None,
        first_message=draw(st.none() | texts),
        first_channel=draw(st.none() | channels),
        heard_at=draw(st.none() | instants),
        handed_over=draw(st.booleans()),
        handed_to=tuple(draw(st.lists(handovers, min_size=1, max_size=4))),
        taken_from=tuple(draw(st.lists(handovers, max_size=4))),
        source=draw(st.sampled_from(Source)),
        language=draw(st.sampled_from(Language)),
        state=draw(st.sampled_from(IncidentState)),
        severity=draw(st.sampled_from(Level)),
        owner=draw(st.none() | texts),
        mention=draw(st.none() | st.just(GROUP)),
        via=Via(stage=draw(st.sampled_from(Stage)), entry=draw(st.none() | texts), file=draw(texts), line=41),
        map_revision=draw(texts),
        alerts=alerts,
        firing=draw(st.integers(0, 10_000)),
        truncated=draw(st.integers(0, 10_000)),
        repeats=draw(st.integers(0, 10_000)),
        opened_at=draw(instants),
        closed_at=draw(st.none() | instants),
        respond_until=draw(st.none() | instants),
        drift=tuple(draw(st.lists(texts, max_size=3))),
        orphan=draw(
            st.none()
            | st.builds(
                OrphanHelp,
                tried=st.lists(
                    st.builds(Tried, stage=st.sampled_from(Stage), answer=st.none(), reason=texts), max_size=7
                ).map(tuple),
                nearest=st.lists(
                    st.builds(Nearest, kind=texts, entry=texts, why=texts, file=texts, line=st.just(1)), max_size=3
                ).map(tuple),
                stanza=texts,
            )
        ),
        undelivered=draw(
            st.none()
            | st.builds(Undelivered, channel=st.builds(Channel, name=texts, id=texts), reason=texts, team=texts)
        ),
        sender=draw(st.one_of(texts, st.just("https://alertmanager.example.com"))),
    )


@settings(max_examples=150, deadline=None)
@given(told=any_card())
def test_any_card_fits_and_nothing_in_it_is_live(told: Card) -> None:
    """Whatever labels, annotations and the map's free texts hold: within our ceilings, and only our own tokens live."""
    payload = render(told)
    assert_within_ceilings(payload)
    assert told.mention is not None or payload.mention == ""
    for text in texts_of(payload):
        # Runbook, dashboard, query, silence and check-in may lead anywhere on the web; that is what they are for.
        named = text.replace(f"<@{cards.LEAD}>", "mika")
        assert_nothing_live(named, links=("http://", "https://"), mention=payload.mention)
    assert_nothing_live(payload.text)
    assert units(plain(payload).text) <= CEILING + 40
    assert all(node["verbatim"] is True for node in mrkdwn_of([*payload.blocks, *payload.attachments]))
    json.dumps([*payload.blocks, *payload.attachments], ensure_ascii=False).encode()


@settings(max_examples=100, deadline=None)
@given(labels=st.dictionaries(texts, texts, max_size=8), annotation=texts, language=st.sampled_from(Language))
def test_no_text_of_an_alert_becomes_a_link_or_a_mention(
    labels: dict[str, str], annotation: str, language: Language
) -> None:
    """Links lead only where the map and the sender's own address say; the owner is called exactly once."""
    written = {"summary": annotation, "description": annotation, "message": annotation, "value": annotation}
    payload = render(card(alerts=(shown({**LABELS, **labels}, written), shown(labels, written)), language=language))
    for text in texts_of(payload):
        assert_nothing_live(text, links=LINK_HOSTS, mention=CALLED)
    assert sum(text.count(CALLED) for text in texts_of(payload)) == 1
    assert CALLED not in payload.text


@given(error=texts)
def test_a_notice_quotes_safely(error: str) -> None:
    """The error may hold what a stranger sent."""
    payload = render_notice(cards.notice(error=error), Language.ENGLISH, GROUP)
    assert_within_ceilings(payload)
    for text in texts_of(payload):
        assert_nothing_live(text, mention=CALLED)


def _worst(text: str) -> Iterator[dict[str, Any]]:
    """Cards whose every part is `text`."""
    rerun = Rerun(safety=RerunSafety.UNSAFE, when=text, how=text, ask=text, recover_within=text)
    step = replace(cards.step("parent", count=10_000), team=text, channel=Channel(name=text, id=text))
    labels = {**LABELS, **dict.fromkeys(("alertname", "service", "cluster", "namespace", text), text)}
    written = {**SUMMARY, **dict.fromkeys(("summary", "description", "value", "expected_at", "missed_count"), text)}
    for number in (1, 10):
        alerts = tuple(
            shown(
                {**labels, "pod": f"{place}{text}"},
                {**written, "value": f"{place}{text}"},
                hints=hints(rerun=replace(rerun, ask=f"{place}{text}"), runbook=f"https://r.example/{place}{text}"),
            )
            for place in range(number)
        )
        yield {
            "alerts": alerts,
            "owner": text,
            "drift": (text, text),
            "via": Via(stage=Stage.RULE, entry=text, file=text, line=10**6),
            "undelivered": Undelivered(channel=Channel(name=text, id=text), reason=text, team=text),
            "orphan": OrphanHelp(
                tried=tuple(Tried(stage=stage, answer=None, reason=text) for stage in Stage),
                nearest=(Nearest(kind=text, entry=text, why=text, file=text, line=1),) * 3,
                stanza=text,
            ),
            "repeats": 10_000,
            "truncated": 10_000,
            "map_revision": text,
            "reference": text,
            "about_job": number == 1,
            "acknowledged": Acknowledgement(by=text, at=NOW),
            "snoozed": Snooze(by=text, at=NOW, until=NOW),
            "assigned": Assignment(by=text, at=NOW, instead_of=text, channel_id=text),
            "assigned_instead_of": text,
            "correction": text,
            "flaps": 10_000,
            "suspect": Suspicion(heartbeat=text, lost_at=NOW),
            "escalations": (step,) * 9,
            "escalation": step,
            "first_message": f"https://example.slack.com/{text}",
            "first_channel": Channel(name=text, id=text),
            "handed_to": (Handover(team=text, channel=Channel(name=text, id=text), alerts=9),) * 9,
            "taken_from": (Handover(team=text, channel=Channel(name=text, id=text), alerts=9),) * 9,
        }


@pytest.mark.parametrize("language", list(Language))
@pytest.mark.parametrize("source", list(Source))
@pytest.mark.parametrize("text", ["x" * 10_000, "&" * 10_000, "🔥" * 10_000, '"' * 10_000, "語" * 10_000, "\x01"])
def test_the_worst_card_fits(text: str, source: Source, language: Language) -> None:
    """Every part at its longest at once, in what is most expensive to write."""
    for facts in _worst(text):
        for state, kind in product(IncidentState, (MessageKind.ROOT, MessageKind.ESCALATED)):
            told = card(
                source=source,
                language=language,
                state=state,
                kind=kind,
                closed_at=NOW + timedelta(days=400),
                buttons=state is IncidentState.OPEN,
                handed_over=state is IncidentState.RESOLVED,
                **facts,
            )
            assert_within_ceilings(render(told))


def test_ten_thousand_alerts_are_one_message() -> None:
    """All of one group, if the core passes them."""
    payload = render(card(alerts=pods(firing=10_000)))
    assert_within_ceilings(payload)
    assert lines(payload)[-1] == "+9990 more"
    assert fields(payload)["Rerun"] == "✅ Safe: deduplicates on `order_id`"


def test_no_alert_at_all_is_still_a_message() -> None:
    """The words of an incident may be gone with its bodies."""
    for state in IncidentState:
        payload = render(card(alerts=(), firing=3, state=state))
        assert_within_ceilings(payload)
        assert "unnamed alert" in header(payload)


def test_the_reference_survives_the_tightest_message() -> None:
    """However little room there is, the id to ask the router with is whole."""
    facts = next(_worst("🔥" * 10_000)) | {"reference": "0nbrxr3v00a2m"}
    assert "ref `0nbrxr3v00a2m`" in footer(render(card(**facts)))[0]


@pytest.mark.parametrize(
    ("job_name", "named"),
    [
        pytest.param("ledger-rollup-29384756", "· ledger-rollup (", id="run of a CronJob"),
        pytest.param("migrate-v2", "· migrate-v2 (", id="a Job of its own"),
    ],
)
def test_header_names_the_job_and_not_its_run(job_name: str, named: str) -> None:
    """People know the job by its name; which run it was stands with the instances."""
    labels = {"alertname": "KubeJobFailed", "job_name": job_name, "namespace": "batch"}
    payload = render(card(alerts=(shown(labels=labels),), firing=1))
    assert named in header(payload)


@pytest.mark.parametrize(
    ("language", "words"),
    [
        pytest.param(Language.ENGLISH, "(resend) Slack's answer to the first post was lost", id="English"),
        pytest.param(Language.JAPANESE, "（再送）最初の投稿への Slack の応答が失われました", id="Japanese"),
    ],
)
def test_a_message_that_may_stand_there_twice_says_so(language: Language, words: str) -> None:
    """In its last line and first in its text; the rest of it is unchanged."""
    payload = render(card(language=language))
    again = resent(payload, language)
    assert footer(again)[-1].startswith(words)
    assert again.blocks[:-1] == payload.blocks
    assert again.text.startswith(words)
    assert again.text.endswith(payload.text)
    assert resent(plain(payload), language).blocks == ()


def test_the_worst_message_can_be_posted_again() -> None:
    """The ceilings are so far below Slack's limits that this line may be beyond them."""
    for facts in _worst("語" * 10_000):
        again = resent(render(card(language=Language.JAPANESE, **facts)), Language.JAPANESE)
        whole = [*again.blocks, *again.attachments]
        assert len(json.dumps(whole)) <= layout.BLOCKS_JSON_CEILING + 500
        assert sum(units(str(node["text"])) for node in mrkdwn_of(whole)) <= layout.BLOCKS_TEXT_CEILING + 100
        assert units(again.text) <= CEILING + 100
        assert len(again.blocks) <= 12
