"""The stages of the evidence ladder: what each has to say about a label set.

Answers that depend on one label only, or on one entry only, are made once: the same few come with every alert.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import partial
from typing import Final

from router.core.claims import ClaimIndex, Section
from router.core.entries import Entry, Identity, Namespace, Rule, Team
from router.core.matchers import Matcher, Operator
from router.core.memory import remembered
from router.core.model import Drift, Place, Stage, Tried, Via
from router.core.regexes import RegexSet
from router.core.spelling import Spellings


@dataclass(slots=True)
class Named:
    """A team as something names it, and the active one that this leads to."""

    team: Team
    active: Team


class Names:
    """Teams by id and alias."""

    def __init__(self, teams: Mapping[str, Team]) -> None:
        by_name = {alias: team for team in teams.values() for alias in team.aliases} | dict(teams)
        self._by_name = {name: Named(team, _successor(team, by_name)) for name, team in by_name.items()}
        self._spellings = Spellings(by_name)

    def __getitem__(self, name: str) -> Named:
        return self._by_name[name]

    def get(self, name: str) -> Named | None:
        return self._by_name.get(name)

    def closest(self, word: str) -> str | None:
        return next((name for _, name in self._spellings.closest(word, at_most=1, at_least=0.75)), None)


def _successor(team: Team, by_name: Mapping[str, Team]) -> Team:
    while not team.active and team.successor is not None:
        team = by_name[team.successor]
    return team


@dataclass(slots=True)
class Opinion:
    """That a stage names an owner, or drops."""

    via: Via
    named: Named | None  # None: drops
    drop_reason: str | None = None


@dataclass(slots=True)
class Answer:
    """What one stage has to say, also where it has no opinion."""

    tried: Tried
    opinion: Opinion | None = None
    entry: Entry | None = None
    rule: Rule | None = None
    drift: tuple[Drift, ...] = ()


@dataclass(slots=True)
class Question:
    labels: Mapping[str, str]
    fitting: int  # the claims that fit them
    today: date


Ask = Callable[[Question], Answer]


def _silence(stage: Stage, reason: str, *drift: Drift) -> Answer:
    return Answer(Tried(stage=stage, answer=None, reason=reason), drift=drift)


def _opinion(stage: Stage, entry: str, place: Place, named: Named | None, drop_reason: str | None = None) -> Opinion:
    return Opinion(Via(stage=stage, entry=entry, file=place.file, line=place.line), named, drop_reason)


def _answer(opinion: Opinion, reason: str) -> Answer:
    answer = opinion.named.active.id if opinion.named is not None else None
    return Answer(Tried(stage=opinion.via.stage, answer=answer, reason=reason), opinion)


# -- the stages ----------------------------------------------------------------------------------------------------


class RuleStage:
    """Ordered, first match; for overrides and rules."""

    def __init__(self, stage: Stage, rules: Section[Rule], names: Names) -> None:
        self._stage = stage
        self._names = names
        self._rules = rules
        self._answers: dict[int, Answer] = {}  # by the rule itself
        self._silent = _silence(stage, f"no {stage} matches")

    def __call__(self, question: Question) -> Answer:
        for rule in self._rules.among(question.fitting):
            if rule.in_force(question.today):
                return self._answers.get(id(rule)) or self._answers.setdefault(id(rule), self._of(rule))
        return self._silent

    def _of(self, rule: Rule) -> Answer:
        named = self._names[rule.owner] if rule.owner is not None else None
        opinion = _opinion(self._stage, rule.id, rule.place, named, None if named is not None else rule.reason)
        answer = _answer(opinion, _spelled(rule.match) if named is not None else f"dropped: {rule.reason}")
        answer.rule = rule
        return answer


class LabelStage:
    """The first non-empty owner label: the rule author's word. A word that is no team is told and never guessed."""

    def __init__(self, identity: Identity, names: Names) -> None:
        self._labels = identity.owner_labels
        self._names = names
        self._answers = {label: remembered(partial(self._of, label)) for label in self._labels}
        silence = f"no label {_listed(self._labels)}" if self._labels else "the map names no owner_labels"
        self._silent = _silence(Stage.LABEL, silence)

    def __call__(self, question: Question) -> Answer:
        label, value = first_of(self._labels, question.labels)
        return self._answers[label](value) if value else self._silent

    def _of(self, label: str, value: str) -> Answer:
        named = self._names.get(value)
        if named is None:
            closest = self._names.closest(value)
            message = f'unknown team "{value}"' + (f'; did you mean "{closest}"?' if closest else "")
            drift = Drift(stage=Stage.LABEL, entry=label, says=value, message=message)
            return _silence(Stage.LABEL, f'{label}="{value}" is not a team', drift)
        reason = f'{label}="{value}"' + (f', an alias of "{named.team.id}"' if value != named.team.id else "")
        return _answer(_opinion(Stage.LABEL, label, named.team.place, named), reason)


class JobStage:
    """A job by the name that its labels give it, then by its `match`.

    Another team may run a job of the same name elsewhere. So a name counts only while `match` contradicts no label
    that the alert has, the labels that carry the name aside.
    """

    def __init__(self, jobs: "Entries", identity: Identity, index: ClaimIndex) -> None:
        self._entries = jobs
        self._index = index
        self._identity = identity
        self._naming = frozenset(identity.all_job_labels)
        self._silent = _silence(Stage.JOB, "no job label, and no job matches")

    def __call__(self, question: Question) -> Answer:
        identity, labels = self._identity, question.labels
        label, name = job_name(identity, labels, self._entries)
        space_label, space = first_of(identity.namespace_labels, labels)
        evidence, fitting = labels, question.fitting
        if name or (space and space_label != identity.namespace_labels[0]):
            evidence = _completed(labels, (identity.job_labels, name), (identity.namespace_labels, space))
            fitting = fitting if evidence is labels else self._index.fitting(evidence)

        entry = self._entries.named(name)
        elsewhere = None
        if entry is not None and (elsewhere := self._contradiction(entry, evidence)) is not None:
            entry = None
        found = self._entries.fitting(fitting, named=entry)
        if not found and not name:
            return self._silent
        if found and entry is None:
            return self._entries.by_match(found)
        known = ", ".join([f'{key}="{value}"' for key, value in ((space_label, space), (label, name)) if value])
        if found:
            return self._entries.by_name(found, known)
        if elsewhere is not None:
            return _silence(Stage.JOB, f'{known}: the job "{name}" is another one, with {elsewhere}')
        return _silence(Stage.JOB, f"{known}: no such job")

    def _contradiction(self, entry: Entry, evidence: Mapping[str, str]) -> Matcher | None:
        return next(
            (
                matcher
                for matcher in entry.match or ()
                if matcher.name not in self._naming and evidence.get(matcher.name) and not matcher.matches(evidence)
            ),
            None,
        )


_SCHEDULED_TIME: Final = re.compile(r"-[0-9]+\Z")


def job_name(identity: Identity, labels: Mapping[str, str], jobs: "Entries") -> tuple[str, str]:
    """A job's name and the label that gives it.

    A Kubernetes Job that a CronJob made is called after it and the scheduled time, billing-close-29384756; a job of
    the map that is really called so is meant itself.
    """
    label, name = first_of(identity.job_labels, labels)
    if name:
        return label, name
    label, run = first_of(identity.job_name_labels, labels)
    if not run:
        return label, run
    name = _SCHEDULED_TIME.sub("", run)
    if name in ("", run) or jobs.named(run) is not None:
        return label, run
    return identity.job_labels[0] if identity.job_labels else label, name


class ServiceStage:
    """A service by the name that its labels give it, then by its `match`, which is further evidence for it."""

    def __init__(self, services: "Entries", identity: Identity) -> None:
        self._entries = services
        self._labels = identity.service_labels
        self._silent = _silence(Stage.SERVICE, "no service label, and no service matches")

    def __call__(self, question: Question) -> Answer:
        label, name = first_of(self._labels, question.labels)
        entry = self._entries.named(name)
        found = self._entries.fitting(question.fitting, named=entry)
        if entry is not None:
            return self._entries.by_name(found, f'{label}="{name}"')
        if found:
            return self._entries.by_match(found)
        return _silence(Stage.SERVICE, f'{label}="{name}" is not a service') if name else self._silent


class NamespaceStage:
    """The exact name, else the longest glob."""

    def __init__(self, namespaces: Iterable[Namespace], identity: Identity, names: Names) -> None:
        namespaces = list(namespaces)
        self._labels = identity.namespace_labels
        self._names = names
        self._exact = {namespace.key: namespace for namespace in namespaces if namespace.glob is None}
        globs = [(namespace.glob, namespace) for namespace in namespaces if namespace.glob is not None]
        self._patterns = RegexSet(regex for regex, _ in globs)
        self._by_pattern = {regex.pattern: glob for regex, glob in globs}
        self._answers = {label: remembered(partial(self._of, label)) for label in self._labels}
        self._silent = _silence(Stage.NAMESPACE, "no namespace label")

    def __call__(self, question: Question) -> Answer:
        label, value = first_of(self._labels, question.labels)
        return self._answers[label](value) if value else self._silent

    def _of(self, label: str, value: str) -> Answer:
        found = self._exact.get(value) or self._by_glob(value)
        if found is None:
            return _silence(Stage.NAMESPACE, f'{label}="{value}" is not in namespaces')
        opinion = _opinion(Stage.NAMESPACE, found.key, found.place, self._names[found.owner])
        return _answer(opinion, f'{label}="{value}"')

    def _by_glob(self, value: str) -> Namespace | None:
        fitting = [self._by_pattern[pattern] for pattern in self._patterns.fitting(value)]
        return min(fitting, key=lambda glob: (-len(glob.key), glob.key), default=None)


class Entries:
    """Jobs or services: by id and alias, and by matchers, the one with most equalities first, then by id."""

    def __init__(self, stage: Stage, entries: Iterable[Entry], names: Names) -> None:
        entries = list(entries)
        self._stage = stage
        self._names = names
        self._named = {alias: entry for entry in entries for alias in entry.aliases}
        self._named |= {entry.id: entry for entry in entries}
        self._opinions: dict[str, Opinion] = {}  # by id, as the next
        self._by_match: dict[str, Answer] = {}  # where nothing else fits
        self.claims = Section(sorted(entries, key=lambda entry: (-_equalities(entry), entry.id)))

    def named(self, name: str) -> Entry | None:
        return self._named.get(name)

    def fitting(self, claims: int, *, named: Entry | None) -> list[Entry]:
        """`named`, which stands before the others, and those of `claims` that are entries of this kind."""
        standing = self.claims.among(claims)
        if named is None:
            return list(standing)
        return [named, *(entry for entry in standing if entry is not named)]

    def by_match(self, found: Sequence[Entry]) -> Answer:
        """The first of `found` by its match; the others fit as well."""
        if len(found) > 1:
            return self.by_name(found, _spelled(found[0].match or ()))
        (entry,) = found
        answer = self._by_match.get(entry.id)
        if answer is None:
            answer = self._by_match[entry.id] = self.by_name(found, _spelled(entry.match or ()))
        return answer

    def by_name(self, found: Sequence[Entry], reason: str) -> Answer:
        """The first of `found` for this reason; the others fit as well."""
        entry, *others = found
        opinion = self._opinions.get(entry.id)
        if opinion is None:
            opinion = _opinion(self._stage, entry.id, entry.place, self._names[entry.owner])
            self._opinions[entry.id] = opinion
        answer = _answer(opinion, reason)
        answer.entry = entry
        if others:
            answer.drift = tuple(self._other(other, entry) for other in others)
        return answer

    def _other(self, other: Entry, entry: Entry) -> Drift:
        team = self._names[other.owner].team.id
        return Drift(
            stage=self._stage,
            entry=other.id,
            says=team,
            message=f'{self._stage} "{other.id}" of "{team}" fits as well as "{entry.id}"',
            file=other.place.file,
            line=other.place.line,
        )


def _equalities(entry: Entry) -> int:
    return sum(matcher.operator is Operator.EQUAL for matcher in entry.match or ())


# -- evidence ------------------------------------------------------------------------------------------------------


def first_of(names: Iterable[str], labels: Mapping[str, str]) -> tuple[str, str]:
    """The first of `names` that is not empty, with its value; two empty strings if there is none."""
    for name in names:
        if value := labels.get(name):
            return name, value
    return "", ""


def _completed(labels: Mapping[str, str], *found: tuple[Sequence[str], str]) -> Mapping[str, str]:
    """`labels`, with the first label of each kind filled in where only another label of that kind has the value.

    A job's `match` says `cronjob` and `namespace`, and a failed run may have only `job_name` and `exported_namespace`.
    """
    for names, value in found:
        if value and names and not labels.get(names[0]):
            labels = {**labels, names[0]: value}
    return labels


def _spelled(match: tuple[Matcher, ...]) -> str:
    return ", ".join(map(str, match)) or "matches every alert"


def _listed(words: Sequence[str]) -> str:
    return " or ".join(filter(None, (", ".join(words[:-1]), *words[-1:])))
