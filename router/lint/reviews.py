"""Checks that go with the calendar: reviews that are due, overrides that have ended."""

from collections.abc import Iterator
from datetime import date, timedelta
from typing import Final

from router.core.enrichment import parse_duration
from router.core.findings import Finding
from router.lint.codes import ERROR, WARNING
from router.lint.references import active_team, team_id
from router.ownership_file.parts import Part, Parts
from router.ownership_file.shape import EntryShape, ReviewShape, TeamShape

LONGEST_OVERRIDE: Final = timedelta(days=90)


def check(parts: Parts, today: date) -> Iterator[Finding]:
    for name, team in parts.teams.items():
        if team.shape.dissolved is None:
            yield from _review(parts, team, team.shape.review, today)
            if team.shape.review is None and parts.defaults.review_every is not None:
                message = f'team "{name}" was never reviewed, and `review_every` is {parts.defaults.review_every}'
                advice = f"look at what it owns, and add `review: {{last: {today}, by: {name}}}`"
                yield team.document.finding("OWN301", message, team.name, severity=WARNING, help=advice)
    for entry in (*parts.services.values(), *parts.jobs.values()):
        yield from _review(parts, entry, entry.shape.review, today)
    yield from _overrides(parts, today)


def _review(
    parts: Parts, part: Part[TeamShape] | Part[EntryShape], review: ReviewShape | None, today: date
) -> Iterator[Finding]:
    if review is None:
        return
    last, every = date.fromisoformat(review.last), review.every or parts.defaults.review_every
    age = today - last
    if age < timedelta():
        message = f"the last review is in the future: {last}"
        yield part.document.finding("OWN302", message, part.at("review", "last"), severity=WARNING)
    elif every is not None and age > (interval := parse_duration(every).total):
        yield part.document.finding(
            "OWN301",
            f"the last review is {age.days} days old, and one is due every {every}",
            part.at("review", "last"),
            severity=ERROR if age > 2 * interval else WARNING,
            help=f"look at it again, and write {today}",
        )
    yield from _reviewer(parts, part, review)


def _reviewer(parts: Parts, part: Part[TeamShape] | Part[EntryShape], review: ReviewShape) -> Iterator[Finding]:
    if review.by is None:
        return
    team = parts.team(review.by)
    if team is None and parts.complete:
        message = f'reviewed by "{review.by}", which is not in teams'
        yield part.document.finding("OWN302", message, part.at("review", "by"), severity=WARNING)
    elif team is not None and team.shape.dissolved is not None:
        heir = active_team(parts, review.by)
        message = f'reviewed by "{review.by}", which is dissolved since {team.shape.dissolved}'
        advice = f'let "{team_id(heir)}" review it' if heir is not None else None
        yield part.document.finding("OWN302", message, part.at("review", "by"), severity=WARNING, help=advice)


def _overrides(parts: Parts, today: date) -> Iterator[Finding]:
    for override in parts.overrides:
        if override.shape.expires is None:
            continue  # the loader's OWN303
        left = date.fromisoformat(override.shape.expires) - today
        if left < timedelta():
            ago = "yesterday" if left.days == -1 else f"{-left.days} days ago"
            message, advice = f'override "{override.shape.id}" ended {ago}', "delete it"
        elif left > LONGEST_OVERRIDE:
            message = (
                f'override "{override.shape.id}" lasts {left.days} days more, and {LONGEST_OVERRIDE.days} are the most'
            )
            advice = "what is to stay is a rule, or another owner"
        else:
            continue
        yield override.document.finding("OWN303", message, override.at("expires"), help=advice)
