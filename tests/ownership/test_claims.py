"""The index of claims finds what comparing every claim finds."""

from dataclasses import dataclass

from hypothesis import given, settings
from hypothesis import strategies as st

from router.core.claims import ClaimIndex, Section
from router.core.matchers import Matcher, Operator, all_match
from tests.ownership.test_naive_resolver import label_sets, matches


@dataclass(frozen=True, slots=True)
class Claiming:
    match: tuple[Matcher, ...] | None


claims = st.lists(st.builds(Claiming, st.none() | matches), max_size=40)


def indexed(claims: list[Claiming], labels: dict[str, str]) -> tuple[list[Claiming], list[Claiming]]:
    """Those that fit, and those that almost do; asked in two sections."""
    half = len(claims) // 2
    sections = [Section(claims[:half]), Section(claims[half:])]
    index = ClaimIndex(sections)
    fitting, almost = index.fitting(labels), index.almost_fitting(labels)
    return (
        [claim for section in sections for claim in section.among(fitting)],
        [claim for section in sections for claim in section.among(almost)],
    )


def almost(claim: Claiming, labels: dict[str, str]) -> bool:
    """Whether one condition is in the way, and another one holds because of a value that the alert has."""
    conditions = set(claim.match or ())
    by_value = [
        matcher
        for matcher in conditions
        if matcher.operator in (Operator.EQUAL, Operator.MATCHES) and labels.get(matcher.name)
    ]
    failing = [matcher for matcher in conditions if not matcher.matches(labels)]
    return len(failing) == 1 and any(matcher.matches(labels) for matcher in by_value)


@settings(max_examples=300, deadline=None)
@given(claims, label_sets)
def test_as_one_by_one(claims: list[Claiming], labels: dict[str, str]) -> None:
    """The same claims in the same order, and the same that one condition only keeps away."""
    fitting, close = indexed(claims, labels)
    assert fitting == [claim for claim in claims if claim.match is not None and all_match(claim.match, labels)]
    assert close == [claim for claim in claims if almost(claim, labels)]


def test_among_many() -> None:
    """Values that thousands of claims share cost no more and are told apart all the same."""
    many = [
        Claiming((Matcher.of("cluster", Operator.EQUAL, "eu"), Matcher.of("pod", Operator.NOT_EQUAL, f"pod-{n}")))
        for n in range(3_000)
    ]
    fitting, close = indexed(many, {"cluster": "eu", "pod": "pod-1234"})
    assert fitting == [*many[:1234], *many[1235:]]
    assert close == [many[1234]]
