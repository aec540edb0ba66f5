"""A drill says so wherever it is read, and nothing else ever does."""

import json
from dataclasses import replace

import pytest

from router.core.digests import DigestCard, DigestLine
from router.core.message_card import Card, CardAlert
from router.core.model import DRILL_ANNOTATION, Language, MessageKind, Rerun
from router.notify.digests import render_digest
from router.notify.messages import render
from router.notify.replies import render_reply
from tests.notify.cards import (
    NOW,
    card,
    escalated,
    every_happening,
    orphan,
    pods,
    resolved,
    shown,
    step,
    undelivered,
)

ID = "7503d3f198bad091"  # the fingerprint of the factories' alerts
MARK = {DRILL_ANNOTATION: ID}


def drilled(told: Card) -> Card:
    """The card of a drill that is otherwise as `told`."""
    return replace(told, alerts=tuple(marked(one) for one in told.alerts))


def marked(one: CardAlert, value: str = ID) -> CardAlert:
    return replace(one, alert=replace(one.alert, annotations={**one.alert.annotations, DRILL_ANNOTATION: value}))


@pytest.mark.parametrize(
    ("told", "header"),
    [
        pytest.param(card(), "🧪 DRILL · 🔴 CRITICAL · HighErrorRate", id="firing"),
        pytest.param(resolved(), "🧪 DRILL · ✅ RESOLVED · HighErrorRate", id="resolved"),
        pytest.param(orphan(), "🧪 DRILL · 🧭 NO OWNER · ", id="nobody's"),
        pytest.param(undelivered(), "🧪 DRILL · 📭 ", id="undelivered"),
        pytest.param(card(kind=MessageKind.COPY), "🧪 DRILL · 📄 COPY · ", id="copy"),
        pytest.param(escalated(step("parent")), "🧪 DRILL · ⏫ ESCALATED · CRITICAL · ", id="escalated"),
        pytest.param(card(language=Language.JAPANESE), "🧪 訓練 · 🔴 重大 · HighErrorRate", id="Japanese"),
    ],
)
def test_header_block_and_text_say_it_first(told: Card, header: str) -> None:
    """In the header, in the line below, and in what a phone shows."""
    payload = render(drilled(told))
    words = {
        Language.ENGLISH: ("DRILL: Sent by `router drill`; nothing is broken.", "nothing is broken"),
        Language.JAPANESE: ("訓練: `router drill` が送ったもので、障害は起きていません。", "障害は起きていません"),
    }[told.language]
    assert payload.blocks[0]["text"]["text"].startswith(header)
    assert words[1] in payload.blocks[1]["text"]["text"]
    assert payload.text.startswith(words[0])
    assert payload.mention == render(told).mention, "a drill tests the call, too"


@pytest.mark.parametrize(
    "told",
    [
        pytest.param(card(), id="no mark"),
        pytest.param(card(alerts=(marked(shown(), value="true"),)), id="a mark that a rule could write"),
        pytest.param(card(alerts=(marked(shown(), value=""),)), id="an empty mark"),
        pytest.param(card(alerts=(marked(pods()[0]), *pods()[1:])), id="only one of several"),
        pytest.param(card(alerts=(marked(shown()),), firing=2), id="one that is not shown"),
        pytest.param(card(alerts=(marked(shown()),), truncated=1), id="one that the sender left out"),
        pytest.param(card(alerts=()), id="no alert"),
    ],
)
def test_a_real_alert_is_never_called_a_drill(told: Card) -> None:
    """Not one alert among drills, nor one whose rule has an annotation of that name."""
    payload = render(told)
    assert "DRILL" not in payload.text + json.dumps(payload.blocks)


def test_a_line_of_a_digest_says_it() -> None:
    """Of a digest's alerts the name alone is known: the incident's title is that of a drill."""
    drill = marked(shown(MARK | {"alertname": "KubeJobFailed"}))
    assert drill.alert.title == "🧪 DRILL KubeJobFailed"
    line = DigestLine(
        card=card(alerts=(shown({"alertname": drill.alert.title}, {}),)), rerun=Rerun(), own_message=False
    )
    payload = render_digest(DigestCard(language=Language.ENGLISH, lines=(line,), wanted_at=NOW))
    assert "*🧪 DRILL KubeJobFailed*" in json.dumps(payload.blocks, ensure_ascii=False)
    assert "🧪 DRILL KubeJobFailed" in payload.text


@pytest.mark.parametrize(
    ("language", "word"),
    [pytest.param(Language.ENGLISH, "DRILL", id="en"), pytest.param(Language.JAPANESE, "訓練", id="ja")],
)
def test_each_reply_says_it_first(language: Language, word: str) -> None:
    """Also the one that the channel sees without the message above."""
    for happening in every_happening():
        payload = render_reply(drilled(card(language=language)), [happening], names={})
        assert payload.blocks[0]["text"]["text"].startswith(f"🧪 {word}")
        assert payload.text.startswith(f"{word}")
        assert "DRILL" not in render_reply(card(), [happening], names={}).text
