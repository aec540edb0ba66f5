"""The ownership map in memory: who owns a label set, by which entry, and what else the map says about it.

The evidence ladder, strongest first: override, label, job, service, rule, namespace; then the fallback. `resolve` asks
every stage, also those below the one that answers: what they say instead is drift.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from difflib import get_close_matches
from fnmatch import translate
from functools import lru_cache
from operator import itemgetter
from types import MappingProxyType
from typing import Final, Generic, Protocol, TypeVar

from router.core.enrichment import (
    BusinessHours,
    Severities,
    annotated_runbook,
    filled_command,
    filled_url,
    level_of,
)
from router.core.findings import Finding
from router.core.matchers import Matcher, Operator, all_match
from router.core.model import (
    Channel,
    Destination,
    Drift,
    Hints,
    Language,
    Level,
    Mention,
    Place,
    Rerun,
    RerunSafety,
    Resolution,
    Stage,
    Tried,
    Via,
)

NOTHING: Final[Mapping[str, str]] = MappingProxyType({})
LADDER: Final = (Stage.OVERRIDE, Stage.LABEL, Stage.JOB, Stage.SERVICE, Stage.RULE, Stage.NAMESPACE)
SEVERITY_LABELS: Final = ("severity", "priority")


@dataclass(frozen=True, slots=True, kw_only=True)
class Team:
    """A team, or the tombstone of one: those are never deleted, so that old labels still find a successor."""

    id: str
    place: Place
    name: str
    channel: Channel | None  # None only for a tombstone
    channels: Mapping[Level, Channel] = field(default_factory=dict)
    mention: Mention | None = None
    lead: Mapping[str, str] | None = None
    parent: str | None = None
    github_team: str | None = None
    aliases: tuple[str, ...] = ()
    timezone: str
    business_hours: BusinessHours
    language: Language
    runbook: str | None = None
    dissolved: date | None = None
    successor: str | None = None
    note: str | None = None

    @property
    def active(self) -> bool:
        return self.dissolved is None

    def channel_for(self, level: Level) -> Channel | None:
        return self.channels.get(level, self.channel)


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckIn:
    """When a job reports; for the timers that watch it."""

    schedule: str
    timezone: str
    grace: str
    max_runtime: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A service or a job."""

    id: str
    place: Place
    owner: str
    aliases: tuple[str, ...] = ()
    match: tuple[Matcher, ...] | None = None  # None: found by id and alias only; empty: fits every alert
    also_notify: tuple[str, ...] = ()
    tier: int | None = None
    severity: Level | None = None
    severity_map: Mapping[str, Level] = field(default_factory=dict)
    runbook: str | None = None
    runbooks: Mapping[str, str] = field(default_factory=dict)
    channel: Channel | None = None
    rerun: Rerun | None = None
    checkin: CheckIn | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """A rule, or an override, which is a rule with an end."""

    id: str
    place: Place  # of its `id`
    begins: Place  # the first of its keys
    match: tuple[Matcher, ...]
    owner: str | None  # None: drops
    reason: str | None = None
    expires: date | None = None
    severity_map: Mapping[str, Level] = field(default_factory=dict)
    runbook: str | None = None

    @property
    def drops(self) -> bool:
        return self.owner is None

    def in_force(self, today: date) -> bool:
        """An entry holds through the day on which it expires."""
        return self.expires is None or today <= self.expires


@dataclass(frozen=True, slots=True, kw_only=True)
class Namespace:
    """A key of `namespaces`: a name, or a glob of `*` (anything) and `?` (one character)."""

    key: str
    place: Place
    owner: str

    @property
    def is_glob(self) -> bool:
        return "*" in self.key or "?" in self.key


@dataclass(frozen=True, slots=True, kw_only=True)
class Fallback:
    """Where orphans and what cannot be delivered go."""

    place: Place
    channel: Channel
    mention: Mention | None
    triage_within: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Which labels carry which kind of evidence; of each list the first non-empty one counts."""

    owner_labels: tuple[str, ...]
    service_labels: tuple[str, ...]
    job_labels: tuple[str, ...]
    job_name_labels: tuple[str, ...]
    namespace_labels: tuple[str, ...]
    cluster_labels: tuple[str, ...]

    @property
    def all_job_labels(self) -> tuple[str, ...]:
        return self.job_labels + self.job_name_labels


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What names an owner in a label set: of each kind its label and value, two empty strings where there is none."""

    owner: tuple[str, str]
    job: tuple[str, str]
    service: tuple[str, str]
    namespace: tuple[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class MapTest:
    """One case of the map's `tests`; `expect` as written."""

    place: Place
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    expect: Mapping[str, str | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnershipMap:
    """One loaded revision of the map. Every name that an entry uses is a team of it; every successor ends active."""

    file: str
    revision: str  # SHA-256 over all files, hexadecimal
    commit: str | None = None
    org: str | None = None
    teams: Mapping[str, Team]
    fallback: Fallback
    identity: Identity
    severities: Severities
    timezone: str
    business_hours: BusinessHours
    language: Language
    rerun: Rerun  # of what no entry declares
    ladder: tuple[Stage, ...] = LADDER
    services: Mapping[str, Entry] = field(default_factory=dict)
    jobs: Mapping[str, Entry] = field(default_factory=dict)
    rules: tuple[Rule, ...] = ()
    overrides: tuple[Rule, ...] = ()
    namespaces: tuple[Namespace, ...] = ()
    tests: tuple[MapTest, ...] = ()
    warnings: tuple[Finding, ...] = ()  # what does not stop the router

    _names: "_Names" = field(init=False, repr=False, compare=False)
    _jobs: "_Entries" = field(init=False, repr=False, compare=False)
    _stages: Mapping[Stage, "_Ask"] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        names, jobs = _Names(self.teams), _Entries(self.jobs.values())
        object.__setattr__(self, "_names", names)
        object.__setattr__(self, "_jobs", jobs)
        object.__setattr__(
            self,
            "_stages",
            {
                Stage.OVERRIDE: _RuleStage("override", self.overrides, names),
                Stage.LABEL: _LabelStage(self.identity, names),
                Stage.JOB: _JobStage(jobs, self.identity, names),
                Stage.SERVICE: _ServiceStage(_Entries(self.services.values()), self.identity, names),
                Stage.RULE: _RuleStage("rule", self.rules, names),
                Stage.NAMESPACE: _NamespaceStage(self.namespaces, self.identity, names),
            },
        )

    @property
    def channels(self) -> tuple[Channel, ...]:
        """Every channel that a message can go to, once each, the fallback first."""
        found = [self.fallback.channel]
        for team in self.teams.values():
            found.extend(channel for channel in (team.channel, *team.channels.values()) if channel is not None)
        found.extend(entry.channel for entry in (*self.services.values(), *self.jobs.values()) if entry.channel)
        by_id: dict[str, Channel] = {}
        for channel in found:
            by_id.setdefault(channel.id, channel)
        return tuple(by_id.values())

    def team(self, name: str) -> Team | None:
        """The active team that answers to `name`: an id, an alias, or a dissolved team whose successor it is."""
        named = self._names.get(name)
        return named.active if named is not None else None

    def evidence(self, labels: Mapping[str, str]) -> Evidence:
        return Evidence(
            owner=_first(self.identity.owner_labels, labels),
            job=_job_name(self.identity, labels, self._jobs),
            service=_first(self.identity.service_labels, labels),
            namespace=_first(self.identity.namespace_labels, labels),
        )

    def resolve(
        self,
        labels: Mapping[str, str],
        annotations: Mapping[str, str] = NOTHING,
        *,
        today: date,
        route_labels: Mapping[str, str] = NOTHING,
    ) -> Resolution:
        """The map's whole answer about one label set: owner and why, hints, channels, and every other opinion.

        `route_labels`, which Alertmanager attaches to a route since 0.34, stand in for labels that the alert lacks.
        """
        evidence = {**route_labels, **labels} if route_labels else labels
        answers = {stage: self._stages[stage](evidence, today) for stage in self.ladder}
        answered = next((stage for stage, answer in answers.items() if answer.opinion is not None), Stage.FALLBACK)
        opinion = answers[answered].opinion if answered is not Stage.FALLBACK else None
        owner = opinion.named.active if opinion is not None and opinion.named is not None else None
        dropped = opinion is not None and owner is None

        # Hints are those of the entries that fit, the most local one first, whoever was found to be the owner.
        entries = [entry for entry in (answers[Stage.JOB].entry, answers[Stage.SERVICE].entry) if entry is not None]
        rules = [rule for rule in (answers[Stage.OVERRIDE].rule, answers[Stage.RULE].rule) if rule is not None]
        level, misunderstood = self._level(entries, rules, evidence)
        response = self.severities.responses[level]
        informed = self._informed(entries, owner) if owner is not None else []
        return Resolution(
            owner=owner.id if owner is not None else None,
            via=_via(answered, opinion, self.fallback),
            hints=Hints(
                severity=level,
                respond_within=response.within,
                hours=response.hours,
                runbook=_runbook(entries, rules, owner, evidence, annotations),
                rerun=self._rerun(answers[Stage.JOB].entry, answers[Stage.SERVICE].entry, evidence),
            ),
            destinations=() if dropped else self._destinations(entries, level, owner, informed),
            also_notify=tuple(team.id for team in informed),
            dropped=dropped,
            drop_reason=opinion.drop_reason if opinion is not None else None,
            drift=(*_drift(answers, answered, owner), *misunderstood),
            tried=_tried(answers, answered),
        )

    def _level(
        self, entries: Sequence[Entry], rules: Sequence[Rule], labels: Mapping[str, str]
    ) -> tuple[Level, tuple[Drift, ...]]:
        declared = next((entry.severity for entry in entries if entry.severity is not None), None)
        name, word = _first(SEVERITY_LABELS, labels)
        if not word:
            return declared or self.severities.default, ()
        understood = level_of(
            word,
            maps=[*(entry.severity_map for entry in entries), *(rule.severity_map for rule in rules)],
            severities=self.severities,
        )
        if understood is not None:
            return declared or understood, ()
        named = self._names.get(word)
        message = f'unknown severity "{word}"' + (f', which names the team "{named.team.id}"' if named else "")
        return declared or self.severities.default, (Drift(stage=None, entry=name, says=word, message=message),)

    def _rerun(self, job: Entry | None, service: Entry | None, labels: Mapping[str, str]) -> Rerun:
        """What is declared for the very job; a service's word calms nobody about a job that it does not name."""
        rerun = job.rerun if job is not None else None
        if rerun is None and service is not None and service.rerun is not None:
            about_job = job is not None or any(labels.get(name) for name in self.identity.all_job_labels)
            if not (about_job and service.rerun.safety in (RerunSafety.SAFE, RerunSafety.NOT_NEEDED)):
                rerun = service.rerun
        if rerun is None:
            return self.rerun
        return replace(rerun, how=filled_command(rerun.how, labels)) if rerun.how and "{" in rerun.how else rerun

    def _destinations(
        self, entries: Sequence[Entry], level: Level, owner: Team | None, informed: Sequence[Team]
    ) -> tuple[Destination, ...]:
        if owner is None:
            return (Destination(team=None, channel=self.fallback.channel),)
        # An entry's own channel is a channel of its owner: it counts only where that is who owns the alert.
        own = (entry.channel for entry in entries if entry.channel and self._names[entry.owner].active is owner)
        by_channel: dict[str, Destination] = {}
        for team, channel in [
            (owner, next(own, owner.channel_for(level))),
            *((team, team.channel_for(level)) for team in informed),
        ]:
            if channel is not None:
                by_channel.setdefault(channel.id, Destination(team=team.id, channel=channel))
        return tuple(by_channel.values())

    def _informed(self, entries: Sequence[Entry], owner: Team) -> list[Team]:
        """The teams that the most local entry wants to know about it, apart from its owner."""
        teams = [self._names[name].active for entry in entries[:1] for name in entry.also_notify]
        return list({team.id: team for team in teams if team is not owner}.values())


# -- names ---------------------------------------------------------------------------------------------------------


class _Named:
    """A team as something names it, and the active one that this leads to."""

    __slots__ = ("active", "team")

    def __init__(self, team: Team, active: Team) -> None:
        self.team = team
        self.active = active


class _Names:
    """Teams by id and alias."""

    def __init__(self, teams: Mapping[str, Team]) -> None:
        by_name = {alias: team for team in teams.values() for alias in team.aliases} | dict(teams)
        self._by_name = {name: _Named(team, _successor(team, by_name)) for name, team in by_name.items()}
        # Comparing with every name is slow, and the same wrong word comes with every alert of a rule.
        self.closest: Callable[[str], str | None] = lru_cache(maxsize=1024)(self._closest)

    def __getitem__(self, name: str) -> _Named:
        return self._by_name[name]

    def get(self, name: str) -> _Named | None:
        return self._by_name.get(name)

    def _closest(self, word: str) -> str | None:
        return next(iter(get_close_matches(word[:80], self._by_name, n=1, cutoff=0.75)), None)


def _successor(team: Team, by_name: Mapping[str, Team]) -> Team:
    while not team.active and team.successor is not None:
        team = by_name[team.successor]
    return team


# -- the index -----------------------------------------------------------------------------------------------------


class Claim(Protocol):
    @property
    def match(self) -> tuple[Matcher, ...] | None: ...


C = TypeVar("C", bound=Claim)


class Claims(Generic[C]):
    """What claims alerts by matchers, filed under one equality each; what has none is looked at every time."""

    def __init__(self, claims: Iterable[C]) -> None:
        self._filed: dict[str, dict[str, list[tuple[int, C]]]] = {}
        self._unfiled: list[tuple[int, C]] = []
        for position, claim in enumerate(claims):
            if claim.match is not None:
                self._file(position, claim, claim.match)

    def _file(self, position: int, claim: C, match: tuple[Matcher, ...]) -> None:
        for matcher in match:
            values = matcher.alternatives
            if values and "" not in values:  # a missing label is an empty one, and is not looked up
                for value in values:
                    self._filed.setdefault(matcher.name, {}).setdefault(value, []).append((position, claim))
                return
        self._unfiled.append((position, claim))

    def matching(self, labels: Mapping[str, str]) -> Iterator[C]:
        """The claims that fit `labels`, in the order in which they were given."""
        candidates = self._unfiled.copy()
        for name, by_value in self._filed.items():
            if (value := labels.get(name)) and value in by_value:
                candidates += by_value[value]
        candidates.sort(key=itemgetter(0))
        return (claim for _, claim in candidates if all_match(claim.match or (), labels))


# -- the stages ----------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Opinion:
    """That a stage names an owner, or drops."""

    entry: str
    place: Place
    named: _Named | None  # None: drops
    drop_reason: str | None = None


@dataclass(slots=True)
class _Answer:
    """What one stage has to say; `reason` also where it has no opinion."""

    reason: str
    opinion: _Opinion | None = None
    entry: Entry | None = None
    rule: Rule | None = None
    drift: tuple[Drift, ...] = ()


_Answers = Mapping[Stage, _Answer]
_Ask = Callable[[Mapping[str, str], date], _Answer]


class _RuleStage:
    """Ordered, first match; for overrides and rules."""

    def __init__(self, word: str, rules: Iterable[Rule], names: _Names) -> None:
        self._word = word
        self._rules = Claims(rules)
        self._names = names

    def __call__(self, labels: Mapping[str, str], today: date) -> _Answer:
        rule = next((rule for rule in self._rules.matching(labels) if rule.in_force(today)), None)
        if rule is None:
            return _Answer(f"no {self._word} matches")
        if rule.owner is None:
            opinion = _Opinion(rule.id, rule.place, None, rule.reason)
            return _Answer(f"dropped: {rule.reason}", opinion, rule=rule)
        return _Answer(_spelled(rule.match), _Opinion(rule.id, rule.place, self._names[rule.owner]), rule=rule)


class _LabelStage:
    """The first non-empty owner label: the rule author's word. A word that is no team is told and never guessed."""

    def __init__(self, identity: Identity, names: _Names) -> None:
        self._labels = identity.owner_labels
        self._names = names
        self._silent = _Answer(f"no label {_listed(identity.owner_labels)}")

    def __call__(self, labels: Mapping[str, str], today: date) -> _Answer:
        label, value = _first(self._labels, labels)
        if not value:
            return self._silent
        named = self._names.get(value)
        if named is None:
            closest = self._names.closest(value)
            message = f'unknown team "{value}"' + (f'; did you mean "{closest}"?' if closest else "")
            drift = Drift(stage=Stage.LABEL, entry=label, says=value, message=message)
            return _Answer(f'{label}="{value}" is not a team', drift=(drift,))
        reason = f'{label}="{value}"' + (f', an alias of "{named.team.id}"' if value != named.team.id else "")
        return _Answer(reason, _Opinion(label, named.team.place, named))


class _JobStage:
    """A job by the name that its labels give it, then by its `match`.

    Another team may run a job of the same name elsewhere. So a name counts only while `match` contradicts no label
    that the alert has, the labels that carry the name aside.
    """

    def __init__(self, jobs: "_Entries", identity: Identity, names: _Names) -> None:
        self._entries = jobs
        self._identity = identity
        self._naming = frozenset(identity.all_job_labels)
        self._names = names

    def __call__(self, labels: Mapping[str, str], today: date) -> _Answer:
        identity = self._identity
        label, name = _job_name(identity, labels, self._entries)
        space_label, space = _first(identity.namespace_labels, labels)
        known = [f'{key}="{value}"' for key, value in ((space_label, space), (label, name)) if value]
        evidence = _completed(labels, (identity.job_labels, name), (identity.namespace_labels, space))

        entry = self._entries.named(name)
        elsewhere = None
        if entry is not None and (elsewhere := self._contradiction(entry, evidence)) is not None:
            entry = None
        found = self._entries.fitting(evidence, named=entry)
        if found:
            reason = ", ".join(known) if entry is not None else _spelled(found[0].match or ())
            return _entry_answer(Stage.JOB, found, reason, self._names)
        if elsewhere is not None:
            return _Answer(f'{", ".join(known)}: the job "{name}" is another one, with {elsewhere}')
        return _Answer(f"{', '.join(known)}: no such job" if name else "no job label, and no job matches")

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


def _job_name(identity: Identity, labels: Mapping[str, str], jobs: "_Entries") -> tuple[str, str]:
    """A job's name and the label that gives it.

    A Kubernetes Job that a CronJob made is called after it and the scheduled time, billing-close-29384756; a job of
    the map that is really called so is meant itself.
    """
    label, name = _first(identity.job_labels, labels)
    if name:
        return label, name
    label, run = _first(identity.job_name_labels, labels)
    name = _SCHEDULED_TIME.sub("", run)
    if name in ("", run) or jobs.named(run) is not None:
        return label, run
    return identity.job_labels[0] if identity.job_labels else label, name


class _ServiceStage:
    """A service by the name that its labels give it, then by its `match`, which is further evidence for it."""

    def __init__(self, services: "_Entries", identity: Identity, names: _Names) -> None:
        self._entries = services
        self._labels = identity.service_labels
        self._names = names

    def __call__(self, labels: Mapping[str, str], today: date) -> _Answer:
        label, name = _first(self._labels, labels)
        entry = self._entries.named(name)
        found = self._entries.fitting(labels, named=entry)
        if found:
            reason = f'{label}="{name}"' if entry is not None else _spelled(found[0].match or ())
            return _entry_answer(Stage.SERVICE, found, reason, self._names)
        return _Answer(f'{label}="{name}" is not a service' if name else "no service label, and no service matches")


class _NamespaceStage:
    """The exact name, else the longest glob."""

    def __init__(self, namespaces: Iterable[Namespace], identity: Identity, names: _Names) -> None:
        self._exact = {namespace.key: namespace for namespace in namespaces if not namespace.is_glob}
        globs = sorted((n for n in namespaces if n.is_glob), key=lambda n: (-len(n.key), n.key))
        self._globs = [(re.compile(translate(glob.key.replace("[", "[[]"))), glob) for glob in globs]
        self._labels = identity.namespace_labels
        self._names = names

    def __call__(self, labels: Mapping[str, str], today: date) -> _Answer:
        label, value = _first(self._labels, labels)
        if not value:
            return _Answer("no namespace label")
        found = self._exact.get(value) or next((glob for pattern, glob in self._globs if pattern.match(value)), None)
        if found is None:
            return _Answer(f'{label}="{value}" is not in namespaces')
        return _Answer(f'{label}="{value}"', _Opinion(found.key, found.place, self._names[found.owner]))


class _Entries:
    """Jobs or services: by id and alias, and by matchers, the one with most equalities first, then by id."""

    def __init__(self, entries: Iterable[Entry]) -> None:
        entries = list(entries)
        self._named = {alias: entry for entry in entries for alias in entry.aliases}
        self._named |= {entry.id: entry for entry in entries}
        self._claims = Claims(sorted(entries, key=lambda entry: (-_equalities(entry), entry.id)))

    def named(self, name: str) -> Entry | None:
        return self._named.get(name)

    def fitting(self, labels: Mapping[str, str], *, named: Entry | None) -> list[Entry]:
        """`named`, which stands before the others, and the entries that match."""
        matching = [entry for entry in self._claims.matching(labels) if entry is not named]
        return matching if named is None else [named, *matching]


def _equalities(entry: Entry) -> int:
    return sum(matcher.operator is Operator.EQUAL for matcher in entry.match or ())


def _entry_answer(stage: Stage, found: Sequence[Entry], reason: str, names: _Names) -> _Answer:
    entry, *others = found
    return _Answer(
        reason,
        _Opinion(entry.id, entry.place, names[entry.owner]),
        entry=entry,
        drift=tuple(
            Drift(
                stage=stage,
                entry=other.id,
                says=names[other.owner].team.id,
                message=f'{stage} "{other.id}" of "{names[other.owner].team.id}" fits as well as "{entry.id}"',
                file=other.place.file,
                line=other.place.line,
            )
            for other in others
        ),
    )


# -- evidence ------------------------------------------------------------------------------------------------------


def _first(names: Iterable[str], labels: Mapping[str, str]) -> tuple[str, str]:
    """The first of `names` that is not empty, with its value; two empty strings if there is none."""
    for name in names:
        if value := labels.get(name):
            return name, value
    return "", ""


def _completed(labels: Mapping[str, str], *found: tuple[Sequence[str], str]) -> Mapping[str, str]:
    """`labels`, with the first label of each kind filled in where only another label of that kind has the value.

    A job's `match` says `cronjob` and `namespace`, and a failed run may have only `job_name` and `exported_namespace`.
    """
    missing = {names[0]: value for names, value in found if names and value and not labels.get(names[0])}
    return {**labels, **missing} if missing else labels


def _runbook(
    entries: Sequence[Entry],
    rules: Sequence[Rule],
    owner: Team | None,
    labels: Mapping[str, str],
    annotations: Mapping[str, str],
) -> str | None:
    """The most local runbook whose placeholders the labels can fill."""
    name = labels.get("alertname", "")
    for template in [entry.runbooks.get(name) for entry in entries]:
        if template is not None and (url := filled_url(template, labels)) is not None:
            return url
    if (url := annotated_runbook(annotations)) is not None:
        return url
    remoter = [*(entry.runbook for entry in entries), *(rule.runbook for rule in rules)]
    for template in [*remoter, owner.runbook if owner is not None else None]:
        if template is not None and (url := filled_url(template, labels)) is not None:
            return url
    return None


# -- the answer ----------------------------------------------------------------------------------------------------


def _via(stage: Stage, opinion: _Opinion | None, fallback: Fallback) -> Via:
    place = opinion.place if opinion is not None else fallback.place
    return Via(stage=stage, entry=opinion.entry if opinion is not None else None, file=place.file, line=place.line)


def _tried(answers: _Answers, answered: Stage) -> tuple[Tried, ...]:
    tried = []
    for stage, answer in answers.items():
        named = answer.opinion.named if answer.opinion is not None else None
        tried.append(Tried(stage=stage, answer=named.active.id if named is not None else None, reason=answer.reason))
        if stage is answered:
            return tuple(tried)
    return (*tried, Tried(stage=Stage.FALLBACK, answer=None, reason="no stage has an answer"))


def _drift(answers: _Answers, answered: Stage, owner: Team | None) -> Iterator[Drift]:
    below = False
    for stage, answer in answers.items():
        yield from answer.drift
        if answer.opinion is not None:
            yield from _disagreement(stage, answer.opinion, owner, below=below)
        below = below or stage is answered


def _disagreement(stage: Stage, opinion: _Opinion, owner: Team | None, *, below: bool) -> Iterator[Drift]:
    """A lower stage that says something else, and every stage that names a team which is no more."""
    if opinion.named is None:
        if below:  # not the answer itself
            yield _differing(stage, opinion, says="drop", message=f'{stage} "{opinion.entry}" drops it')
        return
    team, active = opinion.named.team, opinion.named.active
    gone = f'team "{team.id}" is dissolved, its successor is "{active.id}"' if team is not active else None
    if active is not owner:
        message = f'{stage} "{opinion.entry}" says "{team.id}"' + (f"; {gone}" if gone else "")
        yield _differing(stage, opinion, says=team.id, message=message)
    elif gone is not None:
        yield _differing(stage, opinion, says=team.id, message=gone)


def _differing(stage: Stage, opinion: _Opinion, *, says: str, message: str) -> Drift:
    return Drift(
        stage=stage,
        entry=opinion.entry,
        says=says,
        message=message,
        file=opinion.place.file,
        line=opinion.place.line,
    )


def _spelled(match: tuple[Matcher, ...]) -> str:
    return ", ".join(map(str, match)) or "matches every alert"


def _listed(words: Sequence[str]) -> str:
    return " or ".join(filter(None, (", ".join(words[:-1]), *words[-1:])))
