"""A map that is proposed to people: what it holds, and how it is written so that they can live in it."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from router.core.matchers import Matcher, Operator
from router.core.model import Level
from router.core.ownership import OwnershipMap
from router.core.placeholders import placeholder_id
from router.core.yaml_text import flow, flow_list, scalar
from router.ownership_file import load_map
from router.printing import printable

SCHEMA_FILE: Final = "ownership.schema.json"
_WIDTH: Final = 110


@dataclass(frozen=True, slots=True, kw_only=True)
class ProposedChannel:
    name: str
    id: str | None = None  # None: somebody has to look it up


@dataclass(frozen=True, slots=True, kw_only=True)
class ProposedTeam:
    id: str
    channel: ProposedChannel
    name: str | None = None
    aliases: tuple[str, ...] = ()
    comment: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProposedRule:
    id: str
    match: tuple[Matcher, ...]
    owner: str | None  # None: drops
    reason: str = ""  # of a drop
    comment: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProposedTest:
    labels: Mapping[str, str]
    expect: Mapping[str, str | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    about: tuple[str, ...]  # comments at the top, a line each
    org: str | None = None
    owner_labels: tuple[str, ...] | None = None  # None: the usual ones
    owner_labels_comments: tuple[str, ...] = ()
    severities: Mapping[Level, Sequence[str]] = field(default_factory=dict)
    severities_comments: tuple[str, ...] = ()
    fallback: ProposedChannel
    teams: tuple[ProposedTeam, ...]
    examples: tuple[str, ...] = ()  # comments below the teams, a line each
    services: Mapping[str, str] = field(default_factory=dict)  # to the owner
    rules: tuple[ProposedRule, ...] = ()
    namespaces: Mapping[str, str] = field(default_factory=dict)  # to the owner
    tests: tuple[ProposedTest, ...] = ()

    @property
    def unknown_channels(self) -> tuple[str, ...]:
        """The names of the channels whose ids somebody has to look up, each once."""
        channels = [self.fallback, *(team.channel for team in self.teams)]
        return tuple(dict.fromkeys(channel.name for channel in channels if channel.id is None))


def map_text(proposal: Proposal) -> str:
    """The map as a file. It loads: see `loaded`."""
    return "\n".join(_Writer(proposal).lines()) + "\n"


def loaded(text: str) -> OwnershipMap:
    """The map that `text` is. Raises OwnershipFileInvalid."""
    with TemporaryDirectory() as directory:
        path = Path(directory) / "ownership.yaml"
        path.write_text(text, encoding="utf-8")
        return load_map(path)


def values_of(matcher: Matcher) -> tuple[str, ...]:
    """The only values that fit, in the order in which they are written; none where they cannot be listed."""
    if matcher.alternatives is None:
        return ()
    written = matcher.values if matcher.operator is Operator.EQUAL else tuple(matcher.values[0].split("|"))
    values = tuple(dict.fromkeys(written))
    return values if matcher.alternatives == frozenset(values) else tuple(sorted(matcher.alternatives))


class _Writer:
    def __init__(self, proposal: Proposal) -> None:
        self._proposal = proposal
        self._numbers = {name: number for number, name in enumerate(proposal.unknown_channels, start=1)}

    def lines(self) -> Iterator[str]:
        proposal = self._proposal
        yield f"# yaml-language-server: $schema={SCHEMA_FILE}"
        yield from _comments(proposal.about)
        yield "version: 1"
        if proposal.org is not None:
            yield f"org: {scalar(proposal.org)}"
        if proposal.owner_labels is not None:
            yield ""
            yield from _comments(proposal.owner_labels_comments)
            yield from ["identity:", f"  owner_labels: {flow_list(proposal.owner_labels)}"]
        yield from self._severities()
        yield from ["", "defaults:", "  timezone: UTC # TODO: where the teams work, as in Asia/Tokyo"]
        yield from ["", "fallback: # alerts that nobody owns, and what cannot be delivered"]
        yield f"  {self._channel(proposal.fallback)}"
        yield "  # mention: S0OPSDUTY1 # TODO: whom these messages call, the id of a user group"
        yield from self._teams()
        yield from _comments(self._proposal.examples)
        yield from self._owners("services", proposal.services, "by the label `service`")
        yield from self._rules()
        yield from self._owners("namespaces", proposal.namespaces, "the last resort")
        yield from self._tests()

    def _severities(self) -> Iterator[str]:
        if self._proposal.severities or self._proposal.severities_comments:
            yield ""
            yield from _comments(self._proposal.severities_comments)
        if self._proposal.severities:
            yield "severities:"
            for level, words in self._proposal.severities.items():
                yield f"  {level}: {flow({'from': words})}"

    def _channel(self, channel: ProposedChannel) -> str:
        if channel.id is not None:
            return f"channel: {flow({'name': channel.name, 'id': channel.id})}"
        placeholder = placeholder_id(self._numbers[channel.name])
        return f"channel: {flow({'name': channel.name, 'id': placeholder})} # TODO: the channel's id"

    def _teams(self) -> Iterator[str]:
        yield from ["", "teams:" if self._proposal.teams else "teams: {}"]
        for team in self._proposal.teams:
            yield _with_comment(f"  {scalar(team.id)}:", team.comment)
            if team.name is not None:
                yield f"    name: {scalar(team.name)}"
            yield f"    {self._channel(team.channel)}"
            if team.aliases:
                yield f"    aliases: {flow_list(team.aliases)}"

    def _owners(self, section: str, owners: Mapping[str, str], comment: str) -> Iterator[str]:
        if owners:
            yield from ["", f"{section}: # {comment}"]
        for name, owner in owners.items():
            entry = f"{{owner: {scalar(owner)}}}" if section == "services" else scalar(owner)
            yield f"  {scalar(name)}: {entry}"

    def _rules(self) -> Iterator[str]:
        if self._proposal.rules:
            yield from ["", "rules: # from top to bottom, the first match counts"]
        for rule in self._proposal.rules:
            yield _with_comment(f"  - id: {scalar(rule.id)}", rule.comment)
            yield from _match(rule.match)
            if rule.owner is not None:
                yield f"    owner: {scalar(rule.owner)}"
            else:
                yield from ["    drop: true # reaches nobody, and is counted", f"    reason: {scalar(rule.reason)}"]

    def _tests(self) -> Iterator[str]:
        if self._proposal.tests:
            yield from ["", "tests: # examples that must stay true: `router lint` runs them"]
        for test in self._proposal.tests:
            yield f"  - labels: {flow(test.labels)}"
            expect = ", ".join(f"{key}: {scalar(value) if value else 'null'}" for key, value in test.expect.items())
            yield f"    expect: {{{expect}}}"


def _match(matchers: Sequence[Matcher]) -> Iterator[str]:
    """Labels with their values where that says it all; else Alertmanager's matchers."""
    if not matchers:
        yield "    match: [''] # every alert"
        return
    names = {matcher.name for matcher in matchers}
    if len(names) == len(matchers) and all(matcher.alternatives and matcher.name for matcher in matchers):
        values = {matcher.name: values_of(matcher) for matcher in matchers}
        mapping = {name: texts[0] if len(texts) == 1 else texts for name, texts in values.items()}
        yield from _short(f"    match: {flow(mapping)}") or [
            "    match:",
            *(line for name, texts in values.items() for line in _listing(name, texts)),
        ]
        return
    texts = [str(matcher) for matcher in matchers]
    yield from _short(f"    match: {flow_list(texts)}") or [
        "    match:",
        *(f"      - {scalar(text)}" for text in texts),
    ]


def _listing(name: str, values: Sequence[str]) -> list[str]:
    short = _short(f"      {scalar(name)}: {flow_list(values) if len(values) > 1 else scalar(values[0])}")
    return short or [f"      {scalar(name)}:", *(f"        - {scalar(value)}" for value in values)]


def _short(line: str) -> list[str]:
    return [line] if len(line) <= _WIDTH else []


def _comments(texts: Iterable[str]) -> Iterator[str]:
    """A line each; where a text is empty, an empty line."""
    for text in texts:
        yield f"# {on_one_line(text)}".rstrip() if text else ""


def _with_comment(line: str, comment: str) -> str:
    return f"{line} # {on_one_line(comment)}" if comment else line


def on_one_line(text: str) -> str:
    """`text` for a comment: nothing in it can end one, for YAML or for an editor."""
    return printable(text).replace("\n", "\\n")
