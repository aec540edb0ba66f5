"""What goes with the calendar: reviews (OWN301, OWN302) and overrides (OWN303). Today is 2026-11-22."""

from datetime import date

import pytest

from router.lint import reviews
from tests.lint.marked_maps import ROOT, TODAY, at_marks, found, told

TEAM = "channel: {name: c, id: C0CCCCCCCC}"
EVERY = """\
version: 1
defaults: {review_every: 30d}
fallback: {channel: {name: f, id: C0FFFFFFFF}}
teams:
  gone: {dissolved: 2026-03-31, successor: a}
  a:
    channel: {name: a, id: C0AAAAAAAA}
    review: {last: 2026-11-20, by: a}
"""


@pytest.mark.parametrize(
    ("body", "codes"),
    [
        pytest.param("  c: {" + TEAM + ", review: {last: §2026-10-22}}\n", "OWN301 warning", id="31 days"),
        pytest.param("  c: {" + TEAM + ", review: {last: 2026-10-23}}\n", "", id="30 days"),
        pytest.param("  c: {" + TEAM + ", review: {last: §2026-09-23}}\n", "OWN301 warning", id="60 days"),
        pytest.param("  c: {" + TEAM + ", review: {last: §2026-09-22}}\n", "OWN301 error", id="61 days"),
        pytest.param("  c: {" + TEAM + ", review: {last: 2026-09-22, every: 90d}}\n", "", id="its own interval"),
        pytest.param(
            "  c: {" + TEAM + ", review: {last: §2026-11-12, every: 1w}}\n", "OWN301 warning", id="a shorter one"
        ),
        pytest.param("  §c: {" + TEAM + "}\n", "OWN301 warning", id="never"),
        pytest.param("  c: {dissolved: 2026-01-01, successor: a}\n", "", id="a dissolved team needs none"),
        pytest.param(
            "  c: {dissolved: 2026-01-01, successor: a, review: {last: 2025-01-01, by: gone}}\n", "", id="nor renews it"
        ),
        pytest.param("services:\n  s: {owner: a, review: {last: §2026-09-22}}\n", "OWN301 error", id="service"),
        pytest.param("jobs:\n  j: {owner: a, review: {last: §2026-10-01}}\n", "OWN301 warning", id="job"),
        pytest.param("services:\n  s: {owner: a}\njobs:\n  j: {owner: a}\n", "", id="an entry needs none"),
    ],
)
def test_reviews_that_are_due(body: str, codes: str) -> None:
    """Late is a warning, later than twice the interval an error; the place is the date."""
    assert told(reviews.check, EVERY + body) == at_marks(codes, EVERY + body)


def test_without_an_interval_nothing_is_due() -> None:
    """Neither `every` nor `review_every`: a date is only a note."""
    assert told(reviews.check, ROOT + "  c: {" + TEAM + ", review: {last: 2001-01-01}}\n") == []
    assert told(reviews.check, ROOT + "  c: {" + TEAM + ", review: {last: §2001-01-01, every: 1d}}\n") != []


def test_today_is_given() -> None:
    """The same map is right today and late next month."""
    assert [finding.code for finding in found(reviews.check, EVERY, today=TODAY)] == []
    assert [finding.code for finding in found(reviews.check, EVERY, today=date(2026, 12, 24))] == ["OWN301"]


@pytest.mark.parametrize(
    ("body", "codes"),
    [
        pytest.param("  c: {" + TEAM + ", review: {last: §2026-11-23}}\n", "OWN302 warning", id="tomorrow"),
        pytest.param("  c: {" + TEAM + ", review: {last: 2026-11-22}}\n", "", id="today"),
        pytest.param("  c: {" + TEAM + ", review: {last: 2026-11-01, by: §nobody}}\n", "OWN302 warning", id="no team"),
        pytest.param("  c: {" + TEAM + ", review: {last: 2026-11-01, by: §gone}}\n", "OWN302 warning", id="dissolved"),
        pytest.param("jobs:\n  j: {owner: a, review: {last: 2026-11-01, by: §nobody}}\n", "OWN302 warning", id="a job"),
        pytest.param(
            "  c: {" + TEAM + ", review: {last: §2027-01-01, by: §nobody}}\n",
            "OWN302 warning, OWN302 warning",
            id="both",
        ),
        pytest.param("  c: {" + TEAM + ", aliases: [see], review: {last: 2026-11-01, by: see}}\n", "", id="an alias"),
        pytest.param("  c: {" + TEAM + ", review: {last: 2026-11-01, by: a}}\n", "", id="another team"),
    ],
)
def test_reviews_that_cannot_be(body: str, codes: str) -> None:
    """A date to come, and a reviewer that is no active team."""
    assert told(reviews.check, EVERY + body) == at_marks(codes, EVERY + body)


def test_a_reviewer_may_be_what_cannot_be_read() -> None:
    """While a team has a defect, nothing is said of names that nobody has."""
    body = "  c: {" + TEAM + ", review: {last: 2026-11-01, by: broken}}\n  broken: {chanel: x}\n"
    assert told(reviews.check, EVERY + body) == []


# -- overrides -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("expires", "codes"),
    [
        pytest.param("§2026-11-21", "OWN303 error", id="yesterday"),
        pytest.param("2026-11-22", "", id="today it still holds"),
        pytest.param("2027-02-20", "", id="90 days"),
        pytest.param("§2027-02-21", "OWN303 error", id="91 days"),
    ],
)
def test_overrides(expires: str, codes: str) -> None:
    """An override is for a while; the place is its end."""
    text = ROOT + f"overrides:\n  - id: o\n    match: {{a: b}}\n    owner: a\n    reason: x\n    expires: {expires}\n"
    assert told(reviews.check, text) == at_marks(codes, text)


@pytest.mark.parametrize(
    ("expires", "ago"), [pytest.param("2026-11-21", "yesterday", id="1 day"), ("2026-11-20", "2 days ago")]
)
def test_when_an_override_ended(expires: str, ago: str) -> None:
    """In a person's words."""
    rule = f"{{id: o, match: {{a: b}}, owner: a, reason: x, expires: {expires}}}"
    (finding,) = found(reviews.check, ROOT + f"overrides:\n  - {rule}\n")
    assert finding.message == f'override "o" ended {ago}'


def test_a_rule_may_expire_whenever_it_likes() -> None:
    """Only overrides are for a while."""
    assert told(reviews.check, ROOT + "rules:\n  - {id: r, match: {a: b}, owner: a, expires: 2030-01-01}\n") == []
