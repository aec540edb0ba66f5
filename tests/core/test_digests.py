"""Which lines a digest has, in which order, and what each may claim. Pure."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from router.core.digests import DigestCard, DigestMember, digest_card
from router.core.model import IncidentState, Language, Level, Mention, MessageKind, Rerun, RerunSafety
from tests.core.digest_members import (
    NOW,
    SAFE,
    UNSAFE,
    check_in,
    member,
    minutes,
    orphan,
    ownership,
    resolved,
    undelivered,
)

MAP = ownership()
CONDITIONAL = Rerun(safety=RerunSafety.CONDITIONAL)
NOT_NEEDED = Rerun(safety=RerunSafety.NOT_NEEDED)


def told(*members: DigestMember) -> DigestCard:
    return digest_card(members, ownership=MAP, wanted_at=NOW)


def names(card: DigestCard) -> list[str]:
    return [line.card.alerts[0].alert.name for line in card.lines]


def test_firing_first_then_by_urgency_then_the_newest() -> None:
    """Whoever reads from the top reads what is worst; what ended stands last, however bad it was."""
    card = told(
        member("over", severity=Level.CRITICAL, state=IncidentState.RESOLVED),
        member("no news", severity=Level.HIGH, state=IncidentState.STALE),
        member("low", severity=Level.LOW),
        member("high, older", severity=Level.HIGH, opened_at=NOW - minutes(5)),
        member("high, newer", severity=Level.HIGH),
        member("critical", severity=Level.CRITICAL, opened_at=NOW - minutes(9)),
    )
    assert names(card) == ["critical", "high, newer", "high, older", "low", "over", "no news"]


def test_counts_are_of_what_fires() -> None:
    """What ended, or is only not heard of, is in no count of alerts or severities."""
    card = told(
        member("a", severity=Level.HIGH, alerts=3),
        member("b", severity=Level.CRITICAL, alerts=2),
        member("c", severity=Level.HIGH),
        member("d", severity=Level.HIGH, alerts=5, state=IncidentState.STALE),
        resolved("e"),
    )
    assert (len(card.lines), len(card.open), card.firing) == (5, 3, 6)
    assert list(card.levels.items()) == [(Level.CRITICAL, 1), (Level.HIGH, 2)]


@pytest.mark.parametrize(
    ("members", "language"),
    [
        pytest.param([member(owner="ledger"), member(owner="ledger")], Language.JAPANESE, id="of one team"),
        pytest.param([member(owner="ledger"), member()], Language.ENGLISH, id="of two teams"),
        pytest.param([undelivered(owner="ledger")], Language.ENGLISH, id="in the fallback channel"),
        pytest.param([orphan(), orphan()], Language.ENGLISH, id="orphans"),
    ],
)
def test_language(members: Sequence[DigestMember], language: Language) -> None:
    """A team reads its own language, a channel of several the map's; each line is in the digest's."""
    card = told(*members)
    assert card.language is language
    assert {line.card.language for line in card.lines} == {language}


@pytest.mark.parametrize(
    ("one", "mention"),
    [
        pytest.param(member(), "S0PAYMENTS", id="the owner, in its channel"),
        pytest.param(orphan(), "S0PLATFRM1", id="nobody owns it"),
        pytest.param(undelivered(), "S0PLATFRM1", id="the owner's channel refused"),
        pytest.param(member(kind=MessageKind.COPY), None, id="a copy"),
    ],
)
def test_each_line_calls_whom_its_own_message_would_have_called(one: DigestMember, mention: str | None) -> None:
    """Being one of many must not call somebody else, or nobody."""
    (line,) = told(one).lines
    assert line.card.mention == (None if mention is None else Mention(handle=mention))


@pytest.mark.parametrize(
    ("reruns", "truncated", "safety"),
    [
        pytest.param((SAFE, SAFE), 0, RerunSafety.SAFE, id="all safe"),
        pytest.param((SAFE, UNSAFE, CONDITIONAL), 0, RerunSafety.UNSAFE, id="one unsafe"),
        pytest.param((SAFE, Rerun(), CONDITIONAL), 0, RerunSafety.CONDITIONAL, id="one with care"),
        pytest.param((SAFE, NOT_NEEDED, Rerun()), 0, RerunSafety.UNKNOWN, id="one not declared"),
        pytest.param((NOT_NEEDED, SAFE), 0, RerunSafety.SAFE, id="not needed, or safe"),
        pytest.param((SAFE,), 3, RerunSafety.UNKNOWN, id="some left out by the sender"),
        pytest.param((UNSAFE,), 3, RerunSafety.UNSAFE, id="unsafe, and some left out"),
    ],
)
def test_one_sign_for_many_alerts_is_the_most_careful(
    reruns: tuple[Rerun, ...], truncated: int, safety: RerunSafety
) -> None:
    """Never safe for an alert that nobody declared it for, also not for the fifteenth that no card shows."""
    (line,) = told(member(alerts=15, reruns=(*[SAFE] * (15 - len(reruns)), *reruns), truncated=truncated)).lines
    assert line.rerun.safety is safety


def test_resolved_alerts_do_not_speak_for_those_that_fire() -> None:
    """What is over cannot be run again."""
    firing = member(alerts=1)
    over = member(alerts=2, reruns=(UNSAFE,), state=IncidentState.RESOLVED).incident.alerts["f1"]
    mixed = replace(firing.incident, alerts={**firing.incident.alerts, "f1": over})
    (line,) = told(replace(firing, incident=mixed)).lines
    assert line.rerun == SAFE


def test_what_a_line_knows_without_reading_a_body() -> None:
    """Its name, its entry of the map, its deadline, its runbook and the id to ask with are in the incident's row."""
    one = member("Slow", within="15m", runbook="https://runbooks.example.com/slow", own_ts="1763722980.000100")
    (line,) = told(one).lines
    assert line.own_message
    assert line.card.via.entry == "checkout"
    assert line.card.respond_until == NOW + minutes(15)
    assert line.card.alerts[0].hints.runbook == "https://runbooks.example.com/slow"
    assert line.card.reference == "0000000000007"
    assert told(check_in()).lines[0].card.source == "honeybadger"
