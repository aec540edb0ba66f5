"""What a message says: read anew from the stored bytes each time, so that it is never older than what is known."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial

import structlog

from router.core.cards import card, shown
from router.core.digests import DigestMember, digest_card
from router.core.errors import NotUnderstood
from router.core.identifiers import text_of
from router.core.incidents import Incident
from router.core.message_card import Card
from router.core.model import FailureClass, Language, MessageKind, Notification, Source
from router.core.ownership import OwnershipMap
from router.intake.reading import READ_INLINE_BYTES, read
from router.notify.digests import render_digest, render_told_again
from router.notify.layout import Payload, plain
from router.notify.messages import render, render_move
from router.notify.notices import render_notice
from router.notify.replies import render_reply
from router.store import digests, incidents, messages
from router.store.database import Connection, Store
from router.store.incidents import Told
from router.store.sending import Claimed, undelivered_of

log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class Outgoing:
    """A message on its way."""

    message: Claimed
    channel_id: str
    payload: Payload
    group: str
    reference: str | None  # the notification that its footer names
    language: Language
    subject: str  # what it is about, by a name that no other database gives: several routers may share a workspace
    thread_ts: str | None = None  # of the message that it replies to

    @property
    def delivery_id(self) -> str:
        """The same for each attempt: in Slack, a message is found again by it.

        Of a row of replies each post has its own, by the first number that it tells.
        """
        message = self.message
        first = f".{message.shown + 1}" if message.kind is MessageKind.REPLY else ""
        return f"{self.subject}.{message.kind}.{message.id}{first}"

    def marked(self, mark: Callable[[Payload, Language], Payload]) -> "Outgoing":
        """With a word about what is unusual in how it was sent."""
        return replace(self, payload=mark(self.payload, self.language))


@dataclass(frozen=True, slots=True, kw_only=True)
class NotYet:
    """What it goes below will be posted, then or later."""

    until: datetime


class Composer:
    """Composes messages from what the store holds. Raises StoreUnavailable; FAULTS are defects of ours.

    `address` tells where a browser shows a message, by its channel and `ts`. `buttons`: people can answer in Slack.
    """

    def __init__(
        self,
        *,
        store: Store,
        ownership: Callable[[], OwnershipMap],
        address: Callable[[str, str], Awaitable[str | None]],
        buttons: bool,
    ) -> None:
        self._store = store
        self._ownership = ownership
        self._address = address
        self._buttons = buttons

    async def compose(self, message: Claimed, channel_id: str) -> Outgoing | NotYet | None:
        """What Slack should show now; None if nothing is left to say, as for a reply to what was never posted."""
        if message.notice is not None:
            return self._notice(message, channel_id)
        if message.kind is MessageKind.DIGEST:
            return await self._digest(message, channel_id)
        if message.kind is MessageKind.MOVED:
            return await self._move(message, channel_id)
        if message.kind is MessageKind.REPLY:
            return await self._reply(message, channel_id)
        if message.kind is MessageKind.ESCALATED:
            return await self._escalated(message, channel_id)
        return await self._incident(message, channel_id)

    def _notice(self, message: Claimed, channel_id: str) -> Outgoing:
        assert message.notice is not None  # noqa: S101
        ownership = self._ownership()
        payload = render_notice(message.notice, ownership.language, ownership.fallback.mention)
        return Outgoing(
            message=message,
            channel_id=channel_id,
            payload=plain(payload) if message.plain else payload,
            group=message.notice.cause,
            reference=message.notice.reference,
            language=ownership.language,
            subject=f"{message.notice.first_at.timestamp():.6f}",
        )

    async def _digest(self, message: Claimed, channel_id: str) -> Outgoing | None:
        members = await self._store.read(partial(_members, digest=message.id))
        ownership = self._ownership()
        if not members:
            if message.ts is None:
                return None
            payload = render_told_again(ownership.language)
            return Outgoing(
                message=message,
                channel_id=channel_id,
                payload=plain(payload) if message.plain else payload,
                group=message.kind,
                reference=None,
                language=ownership.language,
                subject=message.kind,
            )
        shows = digest_card(members, ownership=ownership, wanted_at=message.wanted_at)
        payload = render_digest(shows)
        return Outgoing(
            message=message,
            channel_id=channel_id,
            payload=plain(payload) if message.plain else payload,
            group=message.kind,
            reference=None,
            language=shows.language,
            subject=min(member.incident.id for member in members),
        )

    async def _incident(self, message: Claimed, channel_id: str) -> Outgoing:
        shows, incident = await self._card(message)
        return self._outgoing(message, channel_id, render(shows), shows, incident)

    async def _move(self, message: Claimed, channel_id: str) -> Outgoing | None:
        root = await self._store.read(partial(messages.root_of, incident=message.incident or ""))
        if root.ts is None:
            return None
        shows, incident = await self._card(message)
        return self._outgoing(message, channel_id, render_move(shows), shows, incident, thread_ts=root.ts)

    async def _reply(self, message: Claimed, channel_id: str) -> Outgoing | NotYet | None:
        # Where the owner's channel refuses, one in the fallback channel stands for the root.
        kind = MessageKind.ROOT if message.channel_id is not None else MessageKind.UNDELIVERED
        root = await self._store.read(partial(messages.root_of, incident=message.incident or "", kind=kind))
        if root.waits_until is not None:
            return NotYet(until=root.waits_until)
        # Below a message that is gone nothing can be said; a digest has no thread.
        thread_ts = None if message.failure is FailureClass.ROOT_GONE else root.ts
        shows, incident = await self._card(message)
        happenings = [one for one in incident.history if message.shown < one.number <= message.revision]
        if not happenings:
            return None
        ownership = self._ownership()
        names = {team.id: team.name for team in ownership.teams.values()}
        names |= {channel.id: channel.name for channel in ownership.channels}
        payload = render_reply(shows, happenings, names=names)
        if thread_ts is None and not payload.broadcast:
            return None
        if thread_ts is not None:
            channel_id = root.channel_id or channel_id
        return self._outgoing(message, channel_id, payload, shows, incident, thread_ts=thread_ts)

    async def _escalated(self, message: Claimed, channel_id: str) -> Outgoing | None:
        incident_id = message.incident or ""
        if message.ts is None and await self._store.read(
            partial(messages.is_escalated_in, channel_id=channel_id, incident=incident_id, other_than=message.id)
        ):
            return None  # one step stands there for another, whose channel refused
        address = await self._address_of_first(incident_id)
        refused = None if message.undelivered is None else message.undelivered.channel.id
        shows, incident = await self._card(
            message,
            escalation_channel=message.channel_id or refused,
            first_message=address,
        )
        if incident.ended and message.ts is None and message.asked_at is None:
            return None  # who was never told that it fires need not hear that it does not
        return self._outgoing(message, channel_id, render(shows), shows, incident)

    async def _address_of_first(self, incident: str) -> str | None:
        """Of the message in the owner's channel, else of the one that stands for it."""
        for kind in (MessageKind.ROOT, MessageKind.UNDELIVERED):
            root = await self._store.read(partial(messages.root_of, incident=incident, kind=kind))
            if root.ts is not None and root.channel_id is not None:
                return await self._address(root.channel_id, root.ts)
        return None

    async def _card(
        self, message: Claimed, *, escalation_channel: str | None = None, first_message: str | None = None
    ) -> tuple[Card, Incident]:
        assert message.incident is not None, "a message is of an incident, a digest or a notice"  # noqa: S101
        found: Told = await self._store.read(partial(incidents.with_bodies, id=message.incident, needed=_words_needed))
        incident, bodies = found.incident, found.bodies
        large = sum(len(body) for _, body in bodies.values()) > READ_INLINE_BYTES
        told = await asyncio.to_thread(_read, bodies) if large else _read(bodies)
        shows = card(
            incident,
            kind=message.kind,
            told=told,
            ownership=self._ownership(),
            decided_by=found.map,
            undelivered=message.undelivered,
            buttons=self._buttons,
            escalation_channel=escalation_channel,
            first_message=first_message,
        )
        return shows, incident

    def _outgoing(
        self,
        message: Claimed,
        channel_id: str,
        payload: Payload,
        shows: Card,
        incident: Incident,
        *,
        thread_ts: str | None = None,
    ) -> Outgoing:
        return Outgoing(
            message=message,
            channel_id=channel_id,
            payload=plain(payload) if message.plain else payload,
            group=incident.group,
            reference=shows.reference,
            language=shows.language,
            subject=incident.id,
            thread_ts=thread_ts,
        )


def _members(connection: Connection, *, digest: int) -> list[DigestMember]:
    found = digests.members(connection, digest)
    known = incidents.by_id(connection, [member.incident for member in found if member.incident is not None])
    return [
        DigestMember(
            incident=known[member.incident],
            kind=member.kind,
            own_ts=member.ts,
            undelivered=undelivered_of(member.undelivered),
        )
        for member in found
        if member.incident is not None and member.incident in known
    ]


def _read(bodies: Mapping[int, tuple[Source, bytes]]) -> dict[int, Notification]:
    """The notifications whose words a message shows."""
    told = {}
    for identifier, (source, body) in bodies.items():
        try:
            told[identifier] = read(source, body)
        except NotUnderstood as exc:
            # It could be read when it was decided; a newer router reads more strictly. The message says less.
            log.warning("notification_unreadable_now", notification=text_of(identifier), error=str(exc))
    return told


def _words_needed(incident: Incident) -> set[int]:
    return {tracked.notification for _, tracked in shown(incident)}
