"""Checks of single teams and of the fallback: names that stand for nobody, aliases, leads, channels."""

import re
from collections.abc import Iterator
from datetime import date
from typing import Final

from router.core.entries import person_in_slack
from router.core.escalation_policy import LEAD
from router.core.findings import Finding
from router.core.nobody import NOBODY
from router.lint.codes import INFO, WARNING
from router.lint.references import of_the_root, team_id
from router.ownership_file.parts import Part, Parts
from router.ownership_file.shape import TeamShape

_WORD: Final = re.compile(r"[^\W_]+")


def check(parts: Parts, today: date) -> Iterator[Finding]:
    for team in parts.teams.values():
        yield from _for_nobody(team)
        if _asks_for_lead(parts, team):
            yield from _without_lead(team)
    yield from _own_ids(parts)
    yield from _fallback(parts)


def _for_nobody(team: Part[TeamShape]) -> Iterator[Finding]:
    name = team_id(team)
    names = (name, *team.shape.aliases, *([team.shape.name] if team.shape.name else []))
    nobody = next((word for word in names if _stands_for_nobody(word)), None)
    if nobody is not None:
        message = f'team "{name}"' + (
            " stands for nobody" if nobody == name else f' answers to "{nobody}", which is nobody'
        )
        advice = "leave it out: what nobody owns goes to the fallback, and is claimed there"
        yield team.document.finding("OWN106", message, team.name, severity=WARNING, help=advice)


def _stands_for_nobody(name: str) -> bool:
    """`no-team`, `Team Unknown` and `reliability_unowned` do; `unknown-devices` is a team."""
    words = _WORD.findall(name.lower())
    said = ["".join(words), "".join(word for word in words if word not in ("team", "owner"))]
    return "unowned" in words or not NOBODY.isdisjoint(said)


def _asks_for_lead(parts: Parts, team: Part[TeamShape]) -> bool:
    """Whether an escalation of this team's alerts comes to its lead: nothing else uses one."""
    own = team.shape.escalate
    if own is not None and own.then is not None:
        return LEAD in own.then
    return any(LEAD in (escalate.then or ()) for _, escalate in of_the_root(parts) if escalate is not None)


def _without_lead(team: Part[TeamShape]) -> Iterator[Finding]:
    if team.shape.dissolved is None and person_in_slack(team.shape.lead) is None:
        yield team.document.finding(
            "OWN112",
            f'team "{team_id(team)}" has no lead' + (" in Slack" if team.shape.lead else ""),
            team.name,
            severity=INFO,
            help="add `lead: {slack: U…}`, or take `lead` out of `escalate`",
        )


def _own_ids(parts: Parts) -> Iterator[Finding]:
    for kind, entities in (("team", parts.teams), ("service", parts.services), ("job", parts.jobs)):
        for name, part in entities.items():
            for index, alias in enumerate(part.shape.aliases):
                if alias == name:
                    message = f'the alias "{alias}" is the id of the {kind} itself'
                    span = part.at("aliases", index)
                    yield part.document.finding("OWN107", message, span, help="delete it: the id is found anyway")


def _fallback(parts: Parts) -> Iterator[Finding]:
    fallback = parts.fallback
    if fallback is None:
        return
    document, channel = fallback.document, fallback.shape.channel
    shared = [
        team.document.related(f'a channel of "{team_id(team)}"', team.at(*keys))
        for team in parts.teams.values()
        for keys, used in _channels(team.shape)
        if used == channel.id
    ]
    if shared:
        yield document.finding(
            "OWN113",
            f'the fallback channel "{channel.name}" is {shared[0].message}: orphans would look like its alerts',
            fallback.at("channel"),
            help="give orphans a channel of their own",
            related=shared,
        )
    if fallback.shape.mention is None:
        yield document.finding(
            "OWN113",
            "the fallback calls nobody: it has no mention",
            document.key(fallback.path),
            severity=WARNING,
            help="add `mention`, the id of a user group, such as S0OPSDUTY1",
        )


def _channels(team: TeamShape) -> Iterator[tuple[tuple[str, ...], str]]:
    """The channels that an active team is told in: where each is written, and its id."""
    if team.dissolved is None:
        if team.channel is not None:
            yield ("channel",), team.channel.id
        yield from ((("channels", level.value), channel.id) for level, channel in team.channels.items())
