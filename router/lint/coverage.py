"""How much of the alert rules in rule files the map gives to somebody, and what is to be repaired about the rest.

A rule says only some labels of its alerts. Others, such as `namespace` or `job`, come from the series when it fires,
and what its expression selects is not read: an orphan here is a rule that nobody owns by what the rule itself says.
"""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Set
from dataclasses import dataclass
from datetime import date
from difflib import get_close_matches
from enum import StrEnum
from functools import lru_cache
from itertools import islice
from typing import Final

from router.core.enrichment import RUNBOOK_ANNOTATIONS
from router.core.findings import Finding, FindingSeverity, Related
from router.core.model import Level, Resolution, Stage
from router.core.ownership import OwnershipMap
from router.ownership_file.loading import in_order
from router.rule_files import AlertRule, RuleFiles, Unreadable, is_template

_TEAMS_NAMED: Final = 5  # in the summary; `by_team` has them all


@dataclass(frozen=True, slots=True, kw_only=True)
class Coverage:
    """The figures as `router lint --format json` has them: alerts = owned + templated + dropped + orphans."""

    files: int  # with alert rules, or unreadable
    unreadable: int
    alerts: int
    owned: int
    templated: int  # a label whose value is a template decides: nobody knows the owner before it fires
    dropped: int
    orphans: int
    by_stage: Mapping[str, int]  # of the owned, the most first
    by_team: Mapping[str, int]


def coverage_of(rule_files: RuleFiles, ownership_map: OwnershipMap, *, today: date) -> tuple[Coverage, list[Finding]]:
    """The figures of `rule_files` under `ownership_map`, and what is to be repaired, by place, none twice."""
    judge = _Judge(ownership_map, today)
    judged = [judge.judged(alert) for alert in rule_files.alerts]
    outcomes = Counter(verdict.outcome for verdict in judged)
    owned = [verdict.resolution for verdict in judged if verdict.outcome is _Outcome.OWNED]
    coverage = Coverage(
        files=len({alert.file for alert in rule_files.alerts} | {found.file for found in rule_files.unreadable}),
        unreadable=len(rule_files.unreadable),
        alerts=len(judged),
        owned=len(owned),
        templated=outcomes[_Outcome.TEMPLATED],
        dropped=outcomes[_Outcome.DROPPED],
        orphans=outcomes[_Outcome.ORPHAN],
        by_stage=_counted(resolution.via.stage.value for resolution in owned),
        by_team=_counted(resolution.owner for resolution in owned if resolution.owner is not None),
    )
    findings = [_cannot_be_read(unreadable) for unreadable in rule_files.unreadable]
    findings += [finding for verdict in judged for finding in judge.findings(verdict)]
    if judged:
        findings.append(_summary(coverage, ownership_map))
    return coverage, in_order(findings)


def _counted(words: Iterable[str]) -> dict[str, int]:
    return dict(sorted(Counter(words).items(), key=lambda counted: (-counted[1], counted[0])))


# -- one alert rule ------------------------------------------------------------------------------------------------


class _Outcome(StrEnum):
    OWNED = "owned"
    TEMPLATED = "templated"
    DROPPED = "dropped"
    ORPHAN = "orphan"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Verdict:
    """What the map says about an alert rule."""

    alert: AlertRule
    known: Mapping[str, str]  # its labels but for those whose values are templates
    owner_label: str | None  # the first owner label that is not empty
    resolution: Resolution  # of what is known
    outcome: _Outcome


class _Judge:
    def __init__(self, ownership_map: OwnershipMap, today: date) -> None:
        self._map = ownership_map
        self._today = today
        self._teams = {alias: team for team in ownership_map.teams.values() for alias in team.aliases}
        self._teams |= ownership_map.teams
        # Comparing with every name is slow, and the same wrong word stands in every rule of a file.
        self._closest = lru_cache(maxsize=1024)(
            lambda word: get_close_matches(word[:80], self._teams, n=1, cutoff=0.75)
        )
        self._before_label = frozenset(ownership_map.ladder[: ownership_map.ladder.index(Stage.LABEL)])

    def judged(self, alert: AlertRule) -> _Verdict:
        labels = {**alert.labels, "alertname": alert.name}
        known = {label: value for label, value in labels.items() if not is_template(value)}
        resolution = self._map.resolve(known, alert.annotations, today=self._today)
        owner_label = next((label for label in self._map.identity.owner_labels if alert.labels.get(label)), None)
        undecided = owner_label is not None and owner_label not in known
        if (undecided and resolution.via.stage not in self._before_label) or (
            resolution.orphan and self._may_be_found(labels.keys() - known.keys())
        ):
            outcome = _Outcome.TEMPLATED
        elif resolution.dropped:
            outcome = _Outcome.DROPPED
        else:
            outcome = _Outcome.ORPHAN if resolution.orphan else _Outcome.OWNED
        return _Verdict(alert=alert, known=known, owner_label=owner_label, resolution=resolution, outcome=outcome)

    def _may_be_found(self, templated: Set[str]) -> bool:
        """Whether one of these labels, whose values come when the alert fires, may name an entry of the map."""
        identity, ownership_map = self._map.identity, self._map
        evidence = (
            (identity.all_job_labels, ownership_map.jobs),
            (identity.service_labels, ownership_map.services),
            (identity.namespace_labels, ownership_map.namespaces),
        )
        return any(entries and not templated.isdisjoint(labels) for labels, entries in evidence)

    def findings(self, verdict: _Verdict) -> Iterator[Finding]:
        if verdict.outcome is _Outcome.ORPHAN:
            yield self._orphan(verdict)
        if verdict.owner_label is not None and verdict.owner_label in verdict.known:
            yield from self._owner_label(verdict.alert, verdict.owner_label)
        if verdict.outcome is not _Outcome.DROPPED and not _has_runbook(verdict):
            message = f"the alert rule {_quoted(verdict.alert.name)} has no runbook"
            advice = "give it the annotation `runbook_url`, or its service, job, rule or team in the map a `runbook`"
            yield _about_rule(verdict.alert, "OWN704", message, help=advice)

    def _orphan(self, verdict: _Verdict) -> Finding:
        name = _quoted(verdict.alert.name)
        evidence = self._map.evidence(verdict.known)
        kinds = {"job": evidence.job, "service": evidence.service, "namespace": evidence.namespace}
        claim = next((f"the {kind} {_quoted(value)}" for kind, (_, value) in kinds.items() if value), "it with a rule")
        owner_label = next(iter(self._map.identity.owner_labels), None)
        label = f"give it the label `{owner_label}` with the id of a team, or " if owner_label is not None else ""
        advice = f"{label}claim {claim} in the map"
        if verdict.resolution.hints.severity is Level.CRITICAL:
            message = f"the critical alert rule {name} reaches no team, only the fallback channel"
            return _about_rule(verdict.alert, "OWN702", message, help=advice, severity=FindingSeverity.ERROR)
        return _about_rule(
            verdict.alert, "OWN701", f"nobody owns the alert rule {name}, judging by its labels", help=advice
        )

    def _owner_label(self, alert: AlertRule, label: str) -> Iterator[Finding]:
        """That the rule's own word for its owner is not the id of an active team."""
        word = alert.labels[label]
        said = f"{label}={_quoted(word)}"
        team, active = self._teams.get(word), self._map.team(word)
        if team is None or active is None:
            closest = next(iter(self._closest(word)), None)
            meant = self._map.team(closest) if closest is not None else None
            guess = f"; did you mean {_quoted(closest)}?" if closest is not None else ""
            advice = f"write {label}: {meant.id}" if meant is not None else "write the id of a team of the map"
            yield _about_label(alert, label, f"{said} is not a team{guess}", help=advice)
            return
        if not team.active:
            means = "is a dissolved team" if word == team.id else f"means {_quoted(team.id)}, a dissolved team"
            message = f"{said} {means}; {_quoted(active.id)} took over"
        elif word != team.id:
            message = f"{said} is another name of {_quoted(team.id)}"
        else:
            return
        known = Related(file=team.place.file, line=team.place.line, column=team.place.column, message=_quoted(team.id))
        yield _about_label(alert, label, message, help=f"write {label}: {active.id}", related=(known,))


def _has_runbook(verdict: _Verdict) -> bool:
    annotated = (verdict.alert.annotations.get(name, "") for name in RUNBOOK_ANNOTATIONS)
    return verdict.resolution.hints.runbook is not None or any(map(is_template, annotated))


# -- findings ------------------------------------------------------------------------------------------------------


def _about_rule(
    alert: AlertRule, code: str, message: str, *, help: str, severity: FindingSeverity = FindingSeverity.WARNING
) -> Finding:
    return Finding(
        code=code,
        message=message,
        file=alert.file,
        line=alert.line,
        column=alert.column,
        end_column=alert.end_column,
        help=help,
        severity=severity,
    )


def _about_label(
    alert: AlertRule, label: str, message: str, *, help: str, related: tuple[Related, ...] = ()
) -> Finding:
    place = alert.label_places[label]
    return Finding(
        code="OWN703",
        message=message,
        file=alert.file,
        line=place.line,
        column=place.column,
        end_column=place.end_column,
        help=help,
        severity=FindingSeverity.WARNING,
        related=related,
    )


def _cannot_be_read(unreadable: Unreadable) -> Finding:
    return Finding(
        code="OWN701",
        message=f"this rule file cannot be read from here on: {unreadable.reason}",
        file=unreadable.file,
        line=unreadable.line,
        column=unreadable.column,
        help="repair it; if it is a template, check what it renders",
        severity=FindingSeverity.WARNING,
    )


def _summary(coverage: Coverage, ownership_map: OwnershipMap) -> Finding:
    message = (
        f"alert rules: {coverage.alerts} in {coverage.files} {'file' if coverage.files == 1 else 'files'} "
        f"({coverage.unreadable} unreadable); "
        f"owned: {coverage.owned}{_listed(' by', coverage.by_stage)}; "
        f"owner known only when they fire: {coverage.templated}; dropped: {coverage.dropped}; "
        f"owned by nobody: {coverage.orphans}{_listed('; teams:', coverage.by_team)}"
    )
    return Finding(
        code="OWN705", message=message, file=ownership_map.file, line=1, column=1, severity=FindingSeverity.INFO
    )


def _listed(words: str, counted: Mapping[str, int]) -> str:
    if not counted:
        return ""
    named = ", ".join(f"{name} {count}" for name, count in islice(counted.items(), _TEAMS_NAMED))
    more = len(counted) - _TEAMS_NAMED
    return f"{words} {named}" + (f" and {more} more" if more > 0 else "")


def _quoted(text: str) -> str:
    """`text` on one line, in quotes; names and labels of rule files may hold anything."""
    return json.dumps(text if len(text) <= 120 else text[:119] + "…", ensure_ascii=False)
