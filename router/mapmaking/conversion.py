"""Alertmanager's routing tree as a map: its receivers become teams, its routes rules."""

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from router.core.matchers import Matcher
from router.core.yaml_text import free_id
from router.mapmaking.alertmanager_config import AlertmanagerConfig, Note, Receiver, Route
from router.mapmaking.proposal import Proposal, ProposedChannel, ProposedRule, ProposedTeam, values_of
from router.mapmaking.tree import covers, simplified, steps

OWNER_LABELS: Final = ("team", "support_group", "owner")  # of a route: what the map takes for the owner's, if unsaid
UNOWNED: Final = ProposedChannel(name="unowned-alerts")

_CHANNEL_ID: Final = re.compile(r"[CG][A-Z0-9]{8,}")
_NOT_IN_CHANNEL: Final = re.compile(r"[^\w-]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Converted:
    """The proposed map, and all that the configuration says and the map does not."""

    proposal: Proposal
    notes: tuple[Note, ...]
    teams: "Teams"
    routes: tuple[Route, ...]  # that rules were made of


class Teams:
    """The teams that routes tell: by the static owner label that they attach, else by their receiver."""

    def __init__(self, receivers: Mapping[str, Receiver], root: Route) -> None:
        self._receivers = receivers
        # Each is the name of its own team: "Y" must not be given the id that "y" is called by.
        self._words = {*receivers, *_owner_words(root)}
        self._by_word: dict[str, ProposedTeam] = {}

    @property
    def proposed(self) -> tuple[ProposedTeam, ...]:
        return tuple(self._by_word.values())

    def told_by(self, route: Route) -> ProposedTeam | None:
        """None if the route's receiver sends nothing."""
        receiver = self._receivers[route.receiver]
        if not receiver.sends:
            return None
        word = next((route.labels[name] for name in OWNER_LABELS if _is_static(route.labels.get(name))), receiver.name)
        if word not in self._by_word:
            self._by_word[word] = self._team(word, receiver)
        return self._by_word[word]

    def channel_of(self, route: Route, *, default: str) -> ProposedChannel:
        return _channel(self._receivers[route.receiver], default=default)

    def _team(self, word: str, receiver: Receiver) -> ProposedTeam:
        team_id = free_id(word, taken={team.id for team in self.proposed} | self._words - {word})
        return ProposedTeam(
            id=team_id,
            channel=_channel(receiver, default=f"{team_id}-alerts"),
            aliases=(word,) if word != team_id else (),
            comment=f"receiver {receiver.name}" if receiver.name != word else "",
        )


def converted(config: AlertmanagerConfig) -> Converted:
    """The map that owns every alert as the tree routes it, and what of the configuration it does not say."""
    converter = _Converter(config)
    rules = tuple(converter.rules())
    fallback = converter.fallback()
    converter.note_labels(config.root, {})
    notes = tuple(sorted(dict.fromkeys(converter.notes), key=lambda note: (note.line, note.column)))
    proposal = Proposal(
        about=(
            f"Who owns which alert: the routing tree of {config.file}, as of its import.",
            *(["", "Not taken over:", *(f"  {note}" for note in notes)] if notes else []),
        ),
        owner_labels=(),
        owner_labels_comments=(
            "As in Alertmanager, the rules below decide alone.",
            "Once alerts carry their team as a label, name that label here: it then comes first, and rules can go.",
        ),
        fallback=fallback,
        teams=converter.teams.proposed,
        rules=rules,
    )
    return Converted(proposal=proposal, notes=notes, teams=converter.teams, routes=tuple(converter.routes))


def _channel(receiver: Receiver, *, default: str) -> ProposedChannel:
    """The receiver's first Slack channel as far as the map can say it, else one called `default`."""
    written = receiver.channels[0] if receiver.channels else ""
    if _CHANNEL_ID.fullmatch(written):
        return ProposedChannel(name=default, id=written)
    name = written.removeprefix("#").lower()
    if not name or "{{" in name or name.startswith("@"):
        name = default
    return ProposedChannel(name=_NOT_IN_CHANNEL.sub("-", name)[:80])


def _owner_words(route: Route) -> Iterator[str]:
    yield from (route.labels[name] for name in OWNER_LABELS if _is_static(route.labels.get(name)))
    for below in route.routes:
        yield from _owner_words(below)


def _is_static(value: str | None) -> bool:
    return bool(value) and "{{" not in str(value)


class _Converter:
    def __init__(self, config: AlertmanagerConfig) -> None:
        self._config = config
        self._root = config.root
        self._silent = frozenset(name for name, receiver in config.receivers.items() if not receiver.sends)
        self.teams = Teams(config.receivers, config.root)
        self.notes = list(config.notes)
        self.routes: list[Route] = []

    def rules(self) -> Iterator[ProposedRule]:
        kept = _Kept()
        for step in steps(self._root, silent=self._silent):
            match = simplified(step.matchers)
            if match is None:
                if not step.extra:
                    self._note(step.route, "no alert fits this route and those above it: no rule is made of it")
                continue
            taken = kept.covering(match)
            if taken is None:
                if step.route.receiver in self._silent and step.route.routes and not step.extra:
                    self._note(
                        step.route, "what comes here and to none of its routes reaches nobody, as in Alertmanager"
                    )
                rule = self._rule(step.route, match, taken_ids=kept.ids)
                kept.add(rule)
                self.routes.append(step.route)
                yield rule
            elif not (step.extra or step.route.receiver in self._silent or _answered_below(step.route)):
                self._note(step.route, f'no alert is left for this route: rule "{taken.id}" takes them all')

    def _rule(self, route: Route, match: tuple[Matcher, ...], *, taken_ids: set[str]) -> ProposedRule:
        team = self.teams.told_by(route)
        if team is not None and (channel := self.teams.channel_of(route, default=team.channel.name)) != team.channel:
            message = f'receiver "{route.receiver}" tells #{channel.name}: team "{team.id}" has #{team.channel.name}'
            self._note(route, message)
        words = [matcher.values[0] for matcher in match if len(values_of(matcher)) == 1]
        return ProposedRule(
            id=free_id("-".join(filter(None, words)) or route.receiver, taken=taken_ids),
            match=match,
            owner=team.id if team is not None else None,
            reason=f"Alertmanager's receiver {route.receiver} sends nothing" if team is None else "",
            comment=f"{self._config.file}:{route.line}",
        )

    def fallback(self) -> ProposedChannel:
        """The root's channel, unless a team has it: orphans have a channel of their own."""
        if self._root.receiver in self._silent:
            self._note(self._root, "the root's receiver sends nothing: the fallback channel gets what no rule takes")
        channel = self.teams.channel_of(self._root, default=UNOWNED.name)
        team = next((team for team in self.teams.proposed if team.channel == channel), None)
        if team is None:
            return channel
        message = f'the root\'s receiver tells #{channel.name}, as team "{team.id}" does: orphans go to #{UNOWNED.name}'
        self._note(self._root, message)
        return UNOWNED

    def note_labels(self, route: Route, above: Mapping[str, str]) -> None:
        """What routes attach besides an owner still comes with each notification, and stands in for missing labels."""
        own = [name for name, value in route.labels.items() if above.get(name) != value]
        rest = [name for name in own if name not in OWNER_LABELS or not _is_static(route.labels[name])]
        if rest:
            message = f"labels: {', '.join(rest)}: they come with each notification; no rule is made of them"
            self._note(route, message)
        for child in route.routes:
            self.note_labels(child, route.labels)

    def _note(self, route: Route, message: str) -> None:
        self.notes.append(Note(file=self._config.file, line=route.line, column=route.column, message=message))


def _answered_below(route: Route) -> bool:
    """Whether a child takes all that comes to the route, as its author surely meant."""
    return any(not child.matchers for child in route.routes)


class _Kept:
    """The rules so far, filed under the values of one label each: not every one is compared with every other."""

    def __init__(self) -> None:
        self.ids: set[str] = set()
        self._filed: defaultdict[tuple[str, str], list[ProposedRule]] = defaultdict(list)
        self._unfiled: list[ProposedRule] = []

    def add(self, rule: ProposedRule) -> None:
        self.ids.add(rule.id)
        listed = next((matcher for matcher in rule.match if values_of(matcher)), None)
        if listed is None:
            self._unfiled.append(rule)
        else:
            for value in values_of(listed):
                self._filed[listed.name, value].append(rule)

    def covering(self, match: Sequence[Matcher]) -> ProposedRule | None:
        """A rule that surely takes every alert that fits `match`."""
        firsts = [(matcher.name, values[0]) for matcher in match if (values := values_of(matcher))]
        candidates = [*self._unfiled, *(rule for first in firsts for rule in self._filed.get(first, ()))]
        return next((rule for rule in candidates if covers(rule.match, match)), None)
