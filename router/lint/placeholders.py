"""Channels whose id somebody still has to fill in: Slack knows no such channel."""

from collections.abc import Iterator
from datetime import date

from router.core.findings import Finding
from router.core.placeholders import is_placeholder
from router.lint.codes import WARNING
from router.ownership_file.document import Span
from router.ownership_file.parts import Parts
from router.ownership_file.shape import ChannelShape


def check(parts: Parts, today: date) -> Iterator[Finding]:
    for document in parts.documents:
        for channel, span in _channels(parts, document.file):
            if is_placeholder(channel.id):
                yield document.finding(
                    "OWN111",
                    f'"{channel.id}" is a placeholder: nothing reaches #{channel.name} yet',
                    span,
                    severity=WARNING,
                    help="write the channel's id: it is at the bottom of the channel's details in Slack",
                )


def _channels(parts: Parts, file: str) -> Iterator[tuple[ChannelShape, Span]]:
    """Every channel of one file, with the place of its id."""
    fallback = parts.fallback
    if fallback is not None and fallback.document.file == file:
        yield fallback.shape.channel, fallback.at("channel", "id")
    for team in parts.teams.values():
        if team.document.file == file:
            if team.shape.channel is not None:
                yield team.shape.channel, team.at("channel", "id")
            for level, channel in team.shape.channels.items():
                yield channel, team.at("channels", level.value, "id")
    for entry in (*parts.services.values(), *parts.jobs.values()):
        if entry.document.file == file and entry.shape.channel is not None:
            yield entry.shape.channel, entry.at("channel", "id")
