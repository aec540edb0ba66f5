"""What the labels of alert rules say about who owns them, and the small map that follows from it."""

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Final

from router.core.enrichment import Severities, level_of
from router.core.matchers import Matcher
from router.core.model import Level
from router.core.nobody import NOBODY
from router.core.ownership import SEVERITY_LABELS
from router.core.yaml_text import free_id
from router.mapmaking.proposal import (
    Proposal,
    ProposedChannel,
    ProposedRule,
    ProposedTeam,
    ProposedTest,
    loaded,
    map_text,
)
from router.mapmaking.starter import starter
from router.rule_files import AlertRule, is_template

_SHOWN: Final = 5  # of a list that may be long
_RECURS: Final = 2  # a namespace or service is proposed if so many alerts name it

# Words for the owner's label that are found in public rule files, the more usual ones first.
_OWNER_LABELS: Final = (
    "team", "owner", "support_group", "squad", "owner_team", "owning_team", "team_name", "responsible_team",
    "component_owner", "service_owner", "tribe", "responsible",
)  # fmt: skip
_OWNER_WORDS: Final = frozenset({"team", "owner", "squad", "tribe"})
# Alerts that fire always, for a dead man's switch, or only to inhibit others.
_HEARTBEATS: Final = frozenset({"Watchdog", "DeadMansSwitch", "InfoInhibitor"})
_GUESSES: Final[Mapping[Level, frozenset[str]]] = {
    Level.CRITICAL: frozenset({"fatal", "disaster", "blocker", "severe", "urgent", "p0", "sev0", "sev1", "sev-1"}),
    Level.HIGH: frozenset({"major", "err", "important", "sev2", "sev-2"}),
    Level.NORMAL: frozenset({"warn", "minor", "moderate", "medium", "average", "sev3", "sev-3"}),
    Level.LOW: frozenset({"informational", "information", "notice", "debug", "sev4", "sev-4"}),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnerLabel:
    """A label that seems to name owners."""

    name: str
    alerts: int  # that have it, also with a template as its value
    templated: int
    words: Mapping[str, int]  # its values, the most frequent first


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    alerts: tuple[AlertRule, ...]
    owner: OwnerLabel | None
    also: tuple[OwnerLabel, ...]  # name the same owners where that one is missing
    others: tuple[OwnerLabel, ...]
    severities: Mapping[str, int]  # words, the most frequent first
    levels: Mapping[str, Level]  # of those that are usual, and of those that can be guessed
    guessed: frozenset[str]

    def told(self) -> Iterator[str]:
        """What was found and what follows from it, in sentences."""
        if self.owner is None:
            yield f"no label names an owner; looked for {', '.join(_OWNER_LABELS[:4])} and the like"
        else:
            share = self._share(self.owner.alerts)
            yield f'"{self.owner.name}" names the owner: {share} of the alerts have it{self._why()}'
            if self.owner.templated:
                yield f"{self.owner.templated} of its values are templates: their team is known only when they fire"
        for other in self.also:
            yield f'"{other.name}" names the same owners, and comes next: {self._share(other.alerts)} have it'
        for other in self.others:
            yield f'"{other.name}" could too, and is not used: {self._share(other.alerts)}, {_shown(other.words)}'
        unowned = [alert for alert in self.alerts if not self._names_owner(alert) and alert.name not in _HEARTBEATS]
        if unowned:
            groups = Counter(alert.group or "no name" for alert in unowned).most_common()
            listed = _shown(f"{group} ({count})" for group, count in groups)
            yield f"without an owner, for the fallback: {_counted(len(unowned))}; by rule group: {listed}"
        if self.severities:
            yield f"severities: {', '.join(self._severity(word, count) for word, count in self.severities.items())}"

    def _why(self) -> str:
        if self.owner is None or not self.others:
            return ""
        most = all(other.alerts <= self.owner.alerts for other in self.others)
        return ", and none of the others is on more" if most else f", with {len(self.owner.words)} different values"

    @property
    def owner_labels(self) -> tuple[str, ...]:
        return (self.owner.name, *(label.name for label in self.also)) if self.owner is not None else ()

    def evidence(self, alert: AlertRule) -> tuple[str, str]:
        """The first label that names the alert's owner, with its value; two empty strings where none does."""
        return next(((name, alert.labels[name]) for name in self.owner_labels if alert.labels.get(name)), ("", ""))

    def _names_owner(self, alert: AlertRule) -> bool:
        return bool(self.evidence(alert)[1])

    def _share(self, count: int) -> str:
        return f"{100 * count / len(self.alerts):.0f} %"

    def _severity(self, word: str, count: int) -> str:
        level = self.levels.get(word)
        meaning = "not understood" if level is None else f"{level}, guessed" if word in self.guessed else level
        return f"{word} ({count}: {meaning})"


def surveyed(alerts: Sequence[AlertRule]) -> Survey:
    """What the labels of these rules say. There is at least one."""
    candidates = sorted(_owner_labels(alerts), key=_rank)
    severities = loaded(map_text(starter(org=None))).severities
    words = Counter(word for alert in alerts if (word := _severity_word(alert.labels)))
    usual = {word: level for word in words if (level := level_of(word, maps=[], severities=severities)) is not None}
    guesses = {word: level for word in words for level, known in _GUESSES.items() if word.lower() in known}
    also = [label for label in candidates[1:] if _says_the_same(label, candidates[0])]
    return Survey(
        alerts=tuple(alerts),
        owner=candidates[0] if candidates else None,
        also=tuple(also),
        others=tuple(label for label in candidates[1:] if label not in also),
        severities=dict(words.most_common()),
        levels=guesses | usual,
        guessed=frozenset(guesses) - usual.keys(),
    )


def _owner_labels(alerts: Iterable[AlertRule]) -> Iterator[OwnerLabel]:
    values: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for alert in alerts:
        for name, value in alert.labels.items():
            if value and _may_name_owner(name):
                values[name][value] += 1
    for name, counts in values.items():
        templated = sum(count for value, count in counts.items() if is_template(value))
        words = {value: count for value, count in counts.most_common() if not is_template(value)}
        yield OwnerLabel(name=name, alerts=counts.total(), templated=templated, words=words)


def _says_the_same(label: OwnerLabel, owner: OwnerLabel) -> bool:
    """Whether it is a usual label for owners, and all of its words are owners by the other one too."""
    return label.name in _OWNER_LABELS and not label.templated and label.words.keys() <= owner.words.keys()


def _may_name_owner(label: str) -> bool:
    words = re.split(r"[^a-z]+", label.lower())
    return "_".join(words) in _OWNER_LABELS or not _OWNER_WORDS.isdisjoint(words)


def _rank(label: OwnerLabel) -> tuple[bool, int, int, str]:
    """The best first: several values tell owners apart, then what most alerts have, then the more usual word."""
    usual = _OWNER_LABELS.index(label.name) if label.name in _OWNER_LABELS else len(_OWNER_LABELS)
    return len(label.words) < 2 and not label.templated, -label.alerts, usual, label.name


def _severity_word(labels: Mapping[str, str]) -> str:
    word = next((labels[name] for name in SEVERITY_LABELS if labels.get(name)), "")
    return "" if is_template(word) else word


def _counted(alerts: int) -> str:
    return "1 alert" if alerts == 1 else f"{alerts} alerts"


def _shown(names: Iterable[str]) -> str:
    listed = list(names)
    more = f" and {len(listed) - _SHOWN} more" if len(listed) > _SHOWN else ""
    return ", ".join(listed[:_SHOWN]) + more


# -- the map -------------------------------------------------------------------------------------------------------


def proposed(survey: Survey, *, org: str | None) -> Proposal:
    """A small map: a team for every owner that the rules name, and what recurs under one of them."""
    usual = loaded(map_text(starter(org=None)))
    teams = _teams(survey.owner.words if survey.owner is not None else {})
    ids = {word: team.id for team in teams for word in (team.id, *team.aliases)}
    owners = _owners(survey, ids)
    return Proposal(
        about=(
            "Who owns which alert. The first evidence that names a team counts, in this order: an override, a label on",
            "the alert, the job, the service, a rule, the namespace. What nobody owns goes to the fallback.",
            "",
            f"Proposed from the labels of {len(survey.alerts)} alert rules:",
            *(f"- {line}" for line in survey.told()),
        ),
        org=org,
        owner_labels=survey.owner_labels or None,
        owner_labels_comments=("The label whose value is a team's id, or one of its aliases.",),
        severities=_severities(survey, usual.severities),
        severities_comments=tuple(
            f'TODO: "{word}" is no severity that is known here: add it to one, or correct the rules'
            for word in survey.severities
            if word not in survey.levels
        ),
        fallback=ProposedChannel(name="unowned-alerts"),
        teams=teams or starter(org=None).teams,
        services=_recurring(owners, usual.identity.service_labels, fits=lambda name: free_id(name, taken=()) == name),
        rules=tuple(_heartbeats(survey)),
        namespaces=_recurring(
            owners, usual.identity.namespace_labels, fits=lambda name: re.fullmatch(r"[a-z0-9.-]+", name) is not None
        ),
        tests=tuple(_tests(survey, owners)),
    )


def _teams(words: Mapping[str, int]) -> tuple[ProposedTeam, ...]:
    """A team for each word, one for those that differ in writing only; none for words that mean nobody."""
    spellings: defaultdict[str, list[str]] = defaultdict(list)
    for word in words:
        if re.sub(r"[\W_]", "", word).lower() not in NOBODY | {"null"}:
            has_id = re.search(r"[A-Za-z0-9]", word) is not None
            spellings[free_id(word, taken=()) if has_id else word].append(word)
    teams: list[ProposedTeam] = []
    for written in spellings.values():
        before = [team.id for team in teams]
        team_id = free_id(written[0], taken=before)
        close = get_close_matches(team_id, before, n=1, cutoff=0.75)
        doubt = f'; TODO: or is this "{close[0]}"?' if close else ""
        teams.append(
            ProposedTeam(
                id=team_id,
                channel=ProposedChannel(name=f"{re.sub(r'[^a-z0-9_-]', '-', team_id)}-alerts"),
                aliases=tuple(word for word in written if word != team_id),
                comment=_counted(sum(words[word] for word in written)) + doubt,
            )
        )
    return tuple(teams)


_Owned = list[tuple[AlertRule, str]]


def _owners(survey: Survey, ids: Mapping[str, str]) -> _Owned:
    """The alerts whose rule names a team, with its id."""
    return [(alert, ids[word]) for alert in survey.alerts if (word := survey.evidence(alert)[1]) in ids]


def _recurring(owners: _Owned, labels: Sequence[str], *, fits: Callable[[str], bool]) -> dict[str, str]:
    """What several alerts name in one of `labels`, all of one team: alerts from elsewhere find their owner by it."""
    teams: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for alert, team in owners:
        name = next((alert.labels[label] for label in labels if alert.labels.get(label)), "")
        if name and fits(name):
            teams[name][team] += 1
    return {
        name: next(iter(counts))
        for name, counts in sorted(teams.items())
        if len(counts) == 1 and counts.total() >= _RECURS
    }


def _severities(survey: Survey, usual: Severities) -> dict[Level, list[str]]:
    """For levels that a guessed word joins: the usual words, and the guessed ones."""
    return {
        level: [word for word, known in usual.words.items() if known is level] + guessed
        for level in Level
        if (guessed := sorted({word.lower() for word in survey.guessed if survey.levels[word] is level}))
    }


def _heartbeats(survey: Survey) -> Iterator[ProposedRule]:
    names = sorted({alert.name for alert in survey.alerts if _is_heartbeat(survey, alert)})
    if names:
        yield ProposedRule(
            id="heartbeats",
            match=(Matcher.one_of("alertname", names),),
            owner=None,
            reason="these fire always, or only to inhibit others; TODO: say who watches that they do",
        )


def _is_heartbeat(survey: Survey, alert: AlertRule) -> bool:
    return alert.name in _HEARTBEATS and alert.labels.keys().isdisjoint(survey.owner_labels)


def _tests(survey: Survey, owners: _Owned) -> Iterator[ProposedTest]:
    """An alert of each of two teams, and one that nobody owns."""
    firsts: dict[str, AlertRule] = {}
    for alert, team in owners:
        firsts.setdefault(team, alert)
    for team, alert in list(firsts.items())[:2]:
        word, (label, _) = _severity_word(alert.labels), survey.evidence(alert)
        told = {name: alert.labels[name] for name in (*SEVERITY_LABELS, label) if alert.labels.get(name)}
        shown = {name: value for name, value in told.items() if not is_template(value)}
        level = {"severity": str(survey.levels[word])} if word in survey.levels else {}
        yield ProposedTest(
            labels={"alertname": alert.name, **shown}, expect={"owner": team, "via": f"label/{label}", **level}
        )
    orphan = next(
        (alert.name for alert in survey.alerts if not survey.evidence(alert)[1] and _is_plain(alert)), "Example"
    )
    yield ProposedTest(labels={"alertname": orphan}, expect={"owner": None, "via": "fallback"})


def _is_plain(alert: AlertRule) -> bool:
    return alert.name not in _HEARTBEATS and not is_template(alert.name)
