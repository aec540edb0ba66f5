"""Checks of what matchers take from each other: rules and overrides in their order, services and jobs side by side.

What is reported is proven. Where a proof is too dear, or the syntax is not understood, nothing is said.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from itertools import islice
from typing import Final

from router.core.findings import Finding
from router.lint.candidates import Candidates, positions
from router.lint.claims import TOLD, Claim, keyed_claims, ordered_claims, spelled, told
from router.lint.codes import WARNING
from router.lint.inclusion import ALL_VALUES, Proofs, both
from router.lint.languages import Undecided
from router.lint.patterns import misleading_patterns, open_to_missing_labels
from router.lint.scopes import outside_of_scopes
from router.ownership_file.parts import Parts


def check(parts: Parts, today: date) -> Iterator[Finding]:
    proofs = Proofs()
    ordered = [ordered_claims(parts, "override", parts.overrides), ordered_claims(parts, "rule", parts.rules)]
    keyed = [keyed_claims(parts, "service", parts.services), keyed_claims(parts, "job", parts.jobs)]
    claims = [claim for kind in (*ordered, *keyed) for claim in kind]
    yield from _impossible(claims, proofs)

    # The errors first: what is left of the effort is for the warnings.
    orders = [
        _Order([claim for claim in kind if claim.in_force(today) and _possible(claim, proofs)], proofs)
        for kind in ordered
    ]
    for order in orders:
        yield from order.shadowed()
    yield from outside_of_scopes(parts, [claim for claim in claims if _possible(claim, proofs)], proofs)

    too_early = dict.fromkeys(claim for order in orders for claim in order.too_early())
    yield from map(_too_early, too_early)
    for order in orders:
        yield from map(_dropping, order.dropping_by_default())
        yield from order.overlapping()
    for kind in keyed:
        yield from _claimed_twice([claim for claim in kind if _possible(claim, proofs)], proofs)
    yield from misleading_patterns(parts, claims)
    yield from open_to_missing_labels(claim for claim in claims if claim.owner is not None and claim not in too_early)


# -- OWN201 --------------------------------------------------------------------------------------------------------


def _possible(claim: Claim, proofs: Proofs) -> bool:
    return proofs.contradiction(claim.conditions) is None


def _impossible(claims: Sequence[Claim], proofs: Proofs) -> Iterator[Finding]:
    for claim in claims:
        label = proofs.contradiction(claim.conditions)
        if label is None:
            continue
        matchers = " and ".join(str(matcher) for matcher in claim.matchers if matcher.name == label)
        what = f"{claim.called} can never match" if claim.ordered else f"the match of {claim.called} fits no alert"
        yield claim.document.finding(
            "OWN201",
            f'{what}: no value of "{label}" fits {matchers}',
            claim.name,
            help=f"all matchers must hold; to let one of several values fit, write {label}: [one, other]",
        )


# -- what the order decides ----------------------------------------------------------------------------------------

_MOST_TAKERS: Final = 100  # that together take everything from one


class _Order:
    """Rules, or overrides, that are in force and can match; the first one that fits an alert takes it."""

    def __init__(self, claims: Sequence[Claim], proofs: Proofs) -> None:
        self._claims = claims
        self._proofs = proofs
        self._candidates = Candidates([claim.conditions for claim in claims], proofs)
        takers = {position: self._takers(position) for position in range(len(claims))}
        self._takers_of = {position: found for position, found in takers.items() if found}

    def shadowed(self) -> Iterator[Finding]:
        for position, takers in self._takers_of.items():
            claim, others = self._claims[position], [self._claims[taker] for taker in takers]
            if len(others) > 1:
                yield _shadowed_by_several(claim, others)
            elif claim.owner == others[0].owner and self._proofs.covers(claim.conditions, others[0].conditions):
                yield _duplicate(claim, others[0])
            else:
                yield _shadowed(claim, others[0])

    def too_early(self) -> Iterator[Claim]:
        """Those that take every alert before others are asked."""
        for position, claim in self._reached():
            last = position == len(self._claims) - 1
            if not last and not _drops_by_default(claim) and self._proofs.takes_everything(claim.conditions):
                yield claim

    def dropping_by_default(self) -> Iterator[Claim]:
        return (claim for _, claim in self._reached() if _drops_by_default(claim))

    def overlapping(self) -> Iterator[Finding]:
        for position, claim in self._reached():
            disputed = list(islice(self._disputed(position), TOLD))
            if disputed:
                yield _overlapping(claim, disputed, self._proofs)

    def _reached(self) -> Iterator[tuple[int, Claim]]:
        return ((position, claim) for position, claim in enumerate(self._claims) if position not in self._takers_of)

    def _takers(self, position: int) -> tuple[int, ...]:
        """Who takes everything from a claim: one that stands before it, else several together; or nobody, provably."""
        try:
            example = self._proofs.example(self._claims[position].conditions)
            if example is None:
                return ()
            # Whoever takes everything takes the example.
            labels: list[str] = []
            for other in self._earlier(position, example):
                uncovered = self._uncovered(other, position)
                if not uncovered:
                    return (other,)
                if len(uncovered) == 1 and uncovered[0] not in labels:
                    labels += uncovered
            for label in labels:
                if together := self._together(position, label, example):
                    return together
        except Undecided:
            pass
        return ()

    def _together(self, position: int, label: str, example: Mapping[str, str]) -> tuple[int, ...]:
        """Those that take everything when each takes some of the values of `label`."""
        takers: set[int] = set()
        left = [self._claims[position].conditions.get(label, ALL_VALUES)]
        while left:
            values = left.pop()
            value = self._proofs.value(values, line_feeds=True)
            if value is None:
                continue
            earlier = self._earlier(position, {**example, label: value})
            taker = next((other for other in earlier if self._uncovered(other, position) in ([], [label])), None)
            if taker is None or len(takers) == _MOST_TAKERS:
                return ()
            takers.add(taker)
            taken = self._claims[taker].conditions.get(label, ALL_VALUES)
            left += [both(values, negated) for negated in taken.negations()]
        return tuple(sorted(takers))

    def _earlier(self, position: int, labels: Mapping[str, str]) -> Iterator[int]:
        """Who takes an alert with these labels before it comes to the claim, for as long as that is in force."""
        end = self._claims[position].expires
        for other in positions(self._candidates.fitting(labels) & ((1 << position) - 1)):
            other_end = self._claims[other].expires
            if other_end is None or (end is not None and other_end >= end):
                yield other

    def _uncovered(self, other: int, position: int) -> list[str]:
        """One or two of the labels that may keep `other` from taking everything; none if it provably does."""
        conditions = self._claims[position].conditions
        uncovered = []
        for label, values in self._claims[other].conditions.items():
            self._proofs.effort.spend(4)
            if not self._proofs.within(conditions.get(label, ALL_VALUES), values):
                uncovered.append(label)
                if len(uncovered) == 2:
                    break
        return uncovered

    def _disputed(self, position: int) -> Iterator[Claim]:
        """Earlier claims of other teams that take a part of this one, with neither taking all of the other.

        That the earlier one is narrower, asks about more labels, or lists values where the later one has an expression,
        is how everybody writes exceptions.
        """
        claim = self._claims[position]
        for other in _rivals(self._claims, position, self._candidates):
            rival = self._claims[other]
            if (
                other < position
                and other not in self._takers_of
                and rival.conditions
                and not _more_special(rival, claim)
                and not self._proofs.covers(claim.conditions, rival.conditions)
                and not self._proofs.covers(rival.conditions, claim.conditions)
                and self._proofs.shared(claim.conditions, rival.conditions) is not None
            ):
                yield rival


def _shadowed(claim: Claim, taker: Claim) -> Finding:
    move = f"move it above {taker.quoted}" if claim.document is taker.document else f"narrow {taker.quoted}"
    return claim.document.finding(
        "OWN202",
        f"{claim.called} can never match: every alert it matches is taken by {taker.quoted}",
        claim.name,
        help=f"{move}, or delete it",
        related=[taker.related()],
    )


def _shadowed_by_several(claim: Claim, takers: Sequence[Claim]) -> Finding:
    names = f"{', '.join(taker.quoted for taker in takers[:-1])} and {takers[-1].quoted}"
    return claim.document.finding(
        "OWN203",
        f"{claim.called} can never match: every alert it matches is taken by {names}",
        claim.name,
        severity=WARNING,
        help="move it above them, or delete it",
        related=[taker.related() for taker in takers],
    )


def _duplicate(claim: Claim, taker: Claim) -> Finding:
    return claim.document.finding(
        "OWN204",
        f"{claim.called} is there twice: {taker.quoted} matches the same alerts and gives the same answer",
        claim.name,
        severity=WARNING,
        help="delete one of them",
        related=[taker.related()],
    )


def _too_early(claim: Claim) -> Finding:
    return claim.document.finding(
        "OWN211",
        f"{claim.called} matches every alert, and others stand below it",
        claim.name,
        severity=WARNING,
        help="move it to the end; or delete it, as what nothing matches goes to the fallback",
    )


def _drops_by_default(claim: Claim) -> bool:
    return claim.owner is None and all(values.fit("") for values in claim.conditions.values())


def _dropping(claim: Claim) -> Finding:
    what = "every alert" if not claim.conditions else "every alert that its matchers do not exclude"
    return claim.document.finding(
        "OWN214",
        f"{claim.called} drops {what}",
        claim.name,
        severity=WARNING,
        help="name the alerts that are noise; what nobody owns is shown in the fallback channel",
    )


def _overlapping(claim: Claim, disputed: Sequence[Claim], proofs: Proofs) -> Finding:
    first = disputed[0]
    shared = proofs.shared(first.conditions, claim.conditions) or {}
    return claim.document.finding(
        "OWN205",
        f'{claim.called} of "{claim.owner}" overlaps with {first.quoted} of "{first.owner}", '
        f"which stands above it and takes {spelled(shared)}",
        claim.name,
        severity=WARNING,
        help="let only one of them match these",
        related=told(disputed),
    )


def _more_special(one: Claim, other: Claim) -> bool:
    """Whether `one` says more exactly which values of a label are meant."""
    shared = one.conditions.keys() & other.conditions.keys()
    return any(one.conditions[label].openness < other.conditions[label].openness for label in shared)


def _rivals(claims: Sequence[Claim], position: int, candidates: Candidates) -> Iterator[int]:
    """The claims of other teams that ask about no other labels, and share a value with this one on each of theirs."""
    claim = claims[position]
    if claim.owner is None:
        return
    try:
        meeting = candidates.meeting(claim.conditions)
    except Undecided:
        return
    yield from (other for other in positions(meeting) if claims[other].owner not in (None, claim.owner))


# -- OWN212 --------------------------------------------------------------------------------------------------------


def _claimed_twice(claims: Sequence[Claim], proofs: Proofs) -> Iterator[Finding]:
    candidates = Candidates([claim.conditions for claim in claims], proofs)
    disputed: dict[int, set[int]] = {}
    for position in range(len(claims)):
        for other in _rivals(claims, position, candidates):
            disputed.setdefault(max(position, other), set()).add(min(position, other))
    for position, others in sorted(disputed.items()):
        claim, first = claims[position], claims[min(others)]
        shared = proofs.shared(first.conditions, claim.conditions)
        if shared is None:
            continue
        yield claim.document.finding(
            "OWN212",
            f'{claim.called} of "{claim.owner}" and {first.quoted} of "{first.owner}" claim the same alerts: '
            f"{spelled(shared)}",
            claim.name,
            severity=WARNING,
            help="add a matcher that tells them apart",
            related=told(claims[other] for other in sorted(others)),
        )
