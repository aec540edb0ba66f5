"""What the checks of matchers look at: an entry of the map by what its `match` admits."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Final

from router.core.findings import Related
from router.core.matchers import Matcher, Operator
from router.lint.inclusion import Conditions, conditions
from router.lint.references import active_team, team_id
from router.ownership_file.building import matchers_of
from router.ownership_file.document import Document, Span
from router.ownership_file.parts import Part, Parts
from router.ownership_file.shape import EntryShape, RuleShape

TOLD: Final = 5  # places that one finding relates to


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Claim:
    """An entry with a `match`."""

    kind: str  # rule, override, service, job
    id: str
    document: Document
    name: Span  # of its key, or the value of its `id`
    matchers: tuple[Matcher, ...]
    conditions: Conditions
    places: tuple[tuple[Matcher, Span], ...]  # of the matchers as they are written
    owner: str | None  # the active team, or the word that means none. None: drops
    expires: date | None = None

    @property
    def called(self) -> str:
        return f'{self.kind} "{self.id}"'

    @property
    def ordered(self) -> bool:
        return self.kind in ("rule", "override")

    @property
    def quoted(self) -> str:
        return f'"{self.id}"'

    def in_force(self, today: date) -> bool:
        return self.expires is None or today <= self.expires

    def related(self, message: str | None = None) -> Related:
        return self.document.related(message or self.quoted, self.name)


def ordered_claims(parts: Parts, kind: str, rules: Iterable[Part[RuleShape]]) -> list[Claim]:
    """Rules or overrides, in their order; without those that lack an answer, whatever they were to say."""
    return [
        _claim(
            parts,
            kind,
            rule.shape.id,
            rule,
            owner=rule.shape.owner,
            expires=date.fromisoformat(rule.shape.expires) if rule.shape.expires is not None else None,
        )
        for rule in rules
        if rule.shape.owner is not None or rule.shape.drop
    ]


def keyed_claims(parts: Parts, kind: str, entries: Mapping[str, Part[EntryShape]]) -> list[Claim]:
    """Services or jobs that have a `match`, in file order."""
    return [
        _claim(parts, kind, name, entry, owner=entry.shape.owner)
        for name, entry in entries.items()
        if entry.shape.match is not None
    ]


def written_matchers(document: Document, path: tuple[str | int, ...], match: object) -> Iterator[tuple[Matcher, Span]]:
    """The matchers of a `match`, each with the place of its text; of a label's several values each is one."""
    if isinstance(match, list):
        for index, matchers in enumerate(match):
            yield from ((matcher, document.value_at((*path, index))) for matcher in matchers)
    elif isinstance(match, dict):
        for name, values in match.items():
            for index, value in enumerate(values):
                at = (*path, name, index) if len(values) > 1 else (*path, name)
                yield Matcher.of(name, Operator.EQUAL, value), document.value_at(at)


def spelled(labels: Mapping[str, str]) -> str:
    """A label set as matchers, without what is missing."""
    present = (Matcher.of(name, Operator.EQUAL, value) for name, value in labels.items() if value)
    return ", ".join(map(str, present)) or "an alert without labels"


def told(claims: Iterable[Claim]) -> tuple[Related, ...]:
    return tuple(claim.related() for claim in list(claims)[:TOLD])


def _claim(
    parts: Parts,
    kind: str,
    id: str,
    part: Part[RuleShape] | Part[EntryShape],
    *,
    owner: str | None,
    expires: date | None = None,
) -> Claim:
    matchers = matchers_of(part.shape.match)
    team = active_team(parts, owner) if owner is not None else None
    return Claim(
        kind=kind,
        id=id,
        document=part.document,
        name=part.name,
        matchers=matchers,
        conditions=conditions(matchers),
        places=tuple(written_matchers(part.document, (*part.path, "match"), part.shape.match)),
        owner=team_id(team) if team is not None else owner,
        expires=expires,
    )
