"""The ownership map in memory: who owns a label set, by which entry, and what else the map says about it.

The evidence ladder, strongest first: override, label, job, service, rule, namespace; then the fallback. `resolve` asks
every stage, also those below the one that answers: what they say instead is drift.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from functools import partial
from operator import itemgetter
from types import MappingProxyType
from typing import Final, TypeVar

from router.core.claims import ClaimIndex, Section
from router.core.enrichment import BusinessHours, Severities, annotated_runbook, filled_command, filled_url, level_of
from router.core.entries import CheckIn, Entry, Evidence, Fallback, Identity, MapTest, Namespace, Rule, Team
from router.core.errors import OwnershipFileInvalid
from router.core.escalation_policy import UNSAID, Escalate, EscalationPolicy, policy_of
from router.core.findings import Finding
from router.core.ladder import (
    Answer,
    Ask,
    Entries,
    JobStage,
    LabelStage,
    Names,
    NamespaceStage,
    Opinion,
    Question,
    RuleStage,
    ServiceStage,
    first_of,
    job_name,
)
from router.core.lookup_cost import conditions_of, conditions_of_globs, too_dear
from router.core.memory import remembered
from router.core.model import (
    Channel,
    Destination,
    Drift,
    Hints,
    Language,
    Level,
    Nearest,
    Rerun,
    RerunSafety,
    Resolution,
    Stage,
    Tried,
    Via,
)
from router.core.nearest import NearestEntries

__all__ = [
    "LADDER",
    "CheckIn",
    "Entry",
    "Evidence",
    "Fallback",
    "Identity",
    "MapTest",
    "Namespace",
    "OwnershipMap",
    "Rule",
    "Team",
]

NOTHING: Final[Mapping[str, str]] = MappingProxyType({})
LADDER: Final = (Stage.OVERRIDE, Stage.LABEL, Stage.JOB, Stage.SERVICE, Stage.RULE, Stage.NAMESPACE)
SEVERITY_LABELS: Final = ("severity", "priority")

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnershipMap:
    """One loaded revision of the map. Every name that an entry uses is a team of it; every successor ends active.

    Raises OwnershipFileInvalid where asking it could take too long.
    """

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
    escalate: Escalate = UNSAID  # of the defaults
    escalate_by_level: Mapping[Level, Escalate] = field(default_factory=dict)

    _names: Names = field(init=False, repr=False, compare=False)
    _jobs: Entries = field(init=False, repr=False, compare=False)
    _nearest: NearestEntries = field(init=False, repr=False, compare=False)
    _index: ClaimIndex = field(init=False, repr=False, compare=False)
    _asks: tuple[Ask, ...] = field(init=False, repr=False, compare=False)  # in the order of `ladder`
    _with_hints: Callable[[Sequence[Answer]], tuple[Answer, Answer, Answer, Answer]] = field(
        init=False, repr=False, compare=False
    )
    _at_fallback: Via = field(init=False, repr=False, compare=False)
    _destination: dict[tuple[str, Level], tuple[Destination, ...]] = field(init=False, repr=False, compare=False)
    _policies: dict[tuple[str | None, Level], EscalationPolicy] = field(init=False, repr=False, compare=False)
    _usual_level: Callable[[str], Level | None] = field(init=False, repr=False, compare=False)
    _without_runbook: Mapping[Level, Hints] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        dear = too_dear(
            (
                *conditions_of("override", self.overrides),
                *conditions_of("job", self.jobs.values()),
                *conditions_of("service", self.services.values()),
                *conditions_of("rule", self.rules),
                *conditions_of_globs(self.namespaces),
            )
        )
        if dear is not None:
            raise OwnershipFileInvalid([dear])
        names = Names(self.teams)
        jobs = Entries(Stage.JOB, self.jobs.values(), names)
        services = Entries(Stage.SERVICE, self.services.values(), names)
        overrides, rules = Section(self.overrides), Section(self.rules)
        index = ClaimIndex([overrides, jobs.claims, services.claims, rules])
        ask: dict[Stage, Ask] = {
            Stage.OVERRIDE: RuleStage(Stage.OVERRIDE, overrides, names),
            Stage.LABEL: LabelStage(self.identity, names),
            Stage.JOB: JobStage(jobs, self.identity, index),
            Stage.SERVICE: ServiceStage(services, self.identity),
            Stage.RULE: RuleStage(Stage.RULE, rules, names),
            Stage.NAMESPACE: NamespaceStage(self.namespaces, self.identity, names),
        }
        for name, value in {
            "_names": names,
            "_jobs": jobs,
            "_index": index,
            "_nearest": NearestEntries(
                teams=self.teams,
                jobs=self.jobs,
                services=self.services,
                namespaces=self.namespaces,
                identity=self.identity,
                index=index,
                sections={"job": jobs.claims, "service": services.claims, "rule": rules},
            ),
            "_asks": tuple(ask[stage] for stage in self.ladder),
            "_with_hints": itemgetter(*map(self.ladder.index, (Stage.OVERRIDE, Stage.JOB, Stage.SERVICE, Stage.RULE))),
            "_at_fallback": Via(
                stage=Stage.FALLBACK, entry=None, file=self.fallback.place.file, line=self.fallback.place.line
            ),
            "_destination": {},
            "_policies": {},
            "_usual_level": remembered(partial(level_of, maps=(), severities=self.severities)),
            "_without_runbook": {level: self._hints(level, None, self.rerun) for level in Level},
        }.items():
            object.__setattr__(self, name, value)

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

    @property
    def set_failures(self) -> int:
        """How often RE2 gave up on a label's expressions together, and each was asked by itself: slow, not wrong."""
        return self._index.set_failures

    def team(self, name: str) -> Team | None:
        """The active team that answers to `name`: an id, an alias, or a dissolved team whose successor it is."""
        named = self._names.get(name)
        return named.active if named is not None else None

    def escalation_of(self, team_id: str | None, level: Level) -> EscalationPolicy:
        """When others are told of this team's incidents of a level, and who; None: of a team that is gone."""
        found = self._policies.get((team_id, level))
        if found is None:
            team = self.teams.get(team_id) if team_id is not None else None
            found = self._policies[team_id, level] = policy_of(
                level,
                response=self.severities.responses[level],
                team=team.escalate if team is not None else UNSAID,
                of_level=self.escalate_by_level.get(level, UNSAID),
                defaults=self.escalate,
            )
        return found

    @property
    def waits(self) -> object:
        """Equal for two maps that wait as long before somebody else is told."""
        teams = {name: (team.escalate, team.timezone, team.business_hours) for name, team in self.teams.items()}
        usual = self.escalate, self.escalate_by_level, self.severities.responses, self.fallback.triage_within
        return usual, self.timezone, self.business_hours, teams

    def evidence(self, labels: Mapping[str, str]) -> Evidence:
        return Evidence(
            owner=first_of(self.identity.owner_labels, labels),
            job=job_name(self.identity, labels, self._jobs),
            service=first_of(self.identity.service_labels, labels),
            namespace=first_of(self.identity.namespace_labels, labels),
        )

    def nearest(self, labels: Mapping[str, str]) -> tuple[Nearest, ...]:
        """At most three entries that almost fit `labels`, the closest first."""
        return self._nearest.to(self.evidence(labels), labels)

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
        question = Question(evidence, self._index.fitting(evidence), today)
        answers = [ask(question) for ask in self._asks]
        opinion, tried = _first_opinion(answers)
        owner = opinion.named.active if opinion is not None and opinion.named is not None else None
        dropped = opinion is not None and owner is None

        # Hints are those of the entries that fit, the most local one first, whoever was found to be the owner.
        of_override, of_job, of_service, of_rule = self._with_hints(answers)
        job, service = of_job.entry, of_service.entry
        entries = _those_of(job, service)
        rules = _those_of(of_override.rule, of_rule.rule)
        level, misunderstood = self._level(entries, rules, evidence)
        runbook, rerun = _runbook(entries, rules, owner, evidence, annotations), self._rerun(job, service, evidence)
        informed = self._informed(entries[0], owner) if entries and owner is not None else ()
        return Resolution(
            owner=owner.id if owner is not None else None,
            via=opinion.via if opinion is not None else self._at_fallback,
            hints=self._without_runbook[level]
            if runbook is None and rerun is self.rerun
            else self._hints(level, runbook, rerun),
            destinations=() if dropped else self._destinations(entries, level, owner, informed),
            also_notify=tuple(team.id for team in informed) if informed else (),
            dropped=dropped,
            drop_reason=opinion.drop_reason if opinion is not None else None,
            drift=(*_drift(answers, opinion, owner), *misunderstood),
            tried=tried,
            job=job.id if job is not None else None,
        )

    def _hints(self, level: Level, runbook: str | None, rerun: Rerun) -> Hints:
        response = self.severities.responses[level]
        return Hints(severity=level, respond_within=response.within, hours=response.hours, runbook=runbook, rerun=rerun)

    def _level(
        self, entries: Sequence[Entry], rules: Sequence[Rule], labels: Mapping[str, str]
    ) -> tuple[Level, tuple[Drift, ...]]:
        declared = None
        for entry in entries:
            declared = declared or entry.severity
        name, word = first_of(SEVERITY_LABELS, labels)
        if not word:
            return declared or self.severities.default, ()
        holders: tuple[Entry | Rule, ...] = (*entries, *rules)
        maps = [holder.severity_map for holder in holders if holder.severity_map] if holders else ()
        understood = level_of(word, maps=maps, severities=self.severities) if maps else self._usual_level(word)
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
            return self._to_team(None, level)
        # An entry's own channel is a channel of its owner: it counts only where that is who owns the alert.
        own = None
        for entry in entries:
            if own is None and entry.channel is not None and self._names[entry.owner].active is owner:
                own = entry.channel
        if own is None and not informed:
            return self._to_team(owner, level)
        first = (Destination(team=owner.id, channel=own),) if own is not None else self._to_team(owner, level)
        by_channel: dict[str, Destination] = {}
        for destination in (*first, *(to for team in informed for to in self._to_team(team, level))):
            by_channel.setdefault(destination.channel.id, destination)
        return tuple(by_channel.values())

    def _to_team(self, team: Team | None, level: Level) -> tuple[Destination, ...]:
        """A team's own channel, or the fallback: made once each, there are few."""
        key = (team.id if team is not None else "", level)
        found = self._destination.get(key)
        if found is None:
            channel = team.channel_for(level) if team is not None else self.fallback.channel
            found = (Destination(team=team.id if team is not None else None, channel=channel),) if channel else ()
            self._destination[key] = found
        return found

    def _informed(self, entry: Entry, owner: Team) -> Sequence[Team]:
        """The teams that the most local entry wants to know about it, apart from its owner."""
        if not entry.also_notify:
            return ()
        teams = [self._names[name].active for name in entry.also_notify]
        return list({team.id: team for team in teams if team is not owner}.values())


def _those_of(first: T | None, second: T | None) -> tuple[T, ...]:
    if first is None:
        return (second,) if second is not None else ()
    return (first, second) if second is not None else (first,)


def _runbook(
    entries: Sequence[Entry],
    rules: Sequence[Rule],
    owner: Team | None,
    labels: Mapping[str, str],
    annotations: Mapping[str, str],
) -> str | None:
    """The most local runbook whose placeholders the labels can fill."""
    name = labels.get("alertname", "")
    for entry in entries:
        template = entry.runbooks.get(name)
        if template is not None and (url := filled_url(template, labels)) is not None:
            return url
    if annotations and (url := annotated_runbook(annotations)) is not None:
        return url
    for holder in (*entries, *rules, owner):
        template = holder.runbook if holder is not None else None
        if template is not None and (url := filled_url(template, labels)) is not None:
            return url
    return None


# -- what the stages said ------------------------------------------------------------------------------------------


def _first_opinion(answers: Iterable[Answer]) -> tuple[Opinion | None, tuple[Tried, ...]]:
    """The opinion that counts, and what was tried up to it."""
    tried = []
    for answer in answers:
        tried.append(answer.tried)
        if answer.opinion is not None:
            return answer.opinion, tuple(tried)
    return None, (*tried, _NO_ANSWER)


_NO_ANSWER: Final = Tried(stage=Stage.FALLBACK, answer=None, reason="no stage has an answer")


def _drift(answers: Iterable[Answer], answered: Opinion | None, owner: Team | None) -> list[Drift]:
    drift: list[Drift] = []
    for answer in answers:
        if answer.drift:
            drift.extend(answer.drift)
        if answer.opinion is not None:
            disagreement = _disagreement(answer.opinion, owner, itself=answer.opinion is answered)
            if disagreement is not None:
                drift.append(disagreement)
    return drift


def _disagreement(opinion: Opinion, owner: Team | None, *, itself: bool) -> Drift | None:
    """What a lower stage says otherwise, and what any stage says of a team that is no more."""
    stage, entry = opinion.via.stage, opinion.via.entry
    if opinion.named is None:
        return None if itself else _differing(opinion, says="drop", message=f'{stage} "{entry}" drops it')
    team, active = opinion.named.team, opinion.named.active
    gone = f'team "{team.id}" is dissolved, its successor is "{active.id}"' if team is not active else None
    if active is not owner:
        message = f'{stage} "{entry}" says "{team.id}"' + (f"; {gone}" if gone else "")
        return _differing(opinion, says=team.id, message=message)
    return _differing(opinion, says=team.id, message=gone) if gone is not None else None


def _differing(opinion: Opinion, *, says: str, message: str) -> Drift:
    via = opinion.via
    return Drift(stage=via.stage, entry=via.entry, says=says, message=message, file=via.file, line=via.line)
