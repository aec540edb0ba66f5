"""What a message says: read anew from the stored bytes each time, so that it is never older than what is known."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial

import structlog

from router.core.cards import card, shown
from router.core.digests import DigestMember, digest_card
from router.core.errors import NotUnderstood
from router.core.identifiers import text_of
from router.core.incidents import Incident
from router.core.model import Language, MessageKind, Notification, Source
from router.core.ownership import OwnershipMap
from router.intake.reading import READ_INLINE_BYTES, read
from router.notify.blocks import Payload, plain, render, render_move, render_notice
from router.notify.digests import render_digest, render_told_again
from router.store import digests, incidents, messages
from router.store.database import Connection, Store
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
        """The same for each attempt: in Slack, a message is found again by it."""
        return f"{self.subject}.{self.message.kind}.{self.message.id}"

    def marked(self, mark: Callable[[Payload, Language], Payload]) -> "Outgoing":
        """With a word about what is unusual in how it was sent."""
        return replace(self, payload=mark(self.payload, self.language))


class Composer:
    """Composes messages from what the store holds. Raises StoreUnavailable; FAULTS are defects of ours."""

    def __init__(self, *, store: Store, ownership: Callable[[], OwnershipMap]) -> None:
        self._store = store
        self._ownership = ownership

    async def compose(self, message: Claimed, channel_id: str) -> Outgoing | None:
        """What Slack should show now; None if nothing is left to say, as for a reply to what was never posted."""
        if message.notice is not None:
            return self._notice(message, channel_id)
        if message.kind is MessageKind.DIGEST:
            return await self._digest(message, channel_id)
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

    async def _incident(self, message: Claimed, channel_id: str) -> Outgoing | None:
        assert message.incident is not None, "a message is of an incident, a digest or a notice"  # noqa: S101
        ownership = self._ownership()
        found = await self._store.read(partial(incidents.with_bodies, id=message.incident, needed=_words_needed))
        thread_ts = None
        if message.kind is MessageKind.MOVED:
            thread_ts = await self._store.read(partial(messages.root_ts, incident=message.incident))
            if thread_ts is None:
                return None
        incident, bodies = found.incident, found.bodies
        large = sum(len(body) for _, body in bodies.values()) > READ_INLINE_BYTES
        told = await asyncio.to_thread(_read, bodies) if large else _read(bodies)
        shows = card(
            incident,
            kind=message.kind,
            told=told,
            ownership=ownership,
            decided_by=found.map,
            undelivered=message.undelivered,
        )
        payload = render_move(shows) if message.kind is MessageKind.MOVED else render(shows)
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
