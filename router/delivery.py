"""From messages that should show something to Slack showing it: claim, commit, send, record.

What was done is recorded last, so a crash repeats a message and never loses one. How often and how fast Slack may be
called is `notify.pacing`; what an answer means is `core.retry`.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import Protocol

import structlog

from router.core.cards import card, shown
from router.core.errors import FAULTS, DeliveryFailed, NotUnderstood, StoreUnavailable
from router.core.identifiers import text_of
from router.core.incidents import Incident
from router.core.model import Channel, FailureClass, MessageKind, Notification, Source, Undelivered
from router.core.ownership import OwnershipMap
from router.core.retry import backoff, treated_as
from router.intake.reading import READ_INLINE_BYTES, read
from router.notify.blocks import Payload, plain, render, render_move, render_notice
from router.notify.pacing import Pacing
from router.store import incidents, messages
from router.store.database import Connection, Store
from router.store.messages import Claimed
from router.telemetry import Metrics

log = structlog.get_logger()

# Slack is given 10 s to answer (notify.slack); what a crash left in flight waits until that has surely passed.
LEASE = timedelta(seconds=20)
# How many calls to Slack may be under way. Its limits, not ours, decide the throughput.
IN_FLIGHT = 16
SHORTEST_WAIT_S = 0.001


class Sender(Protocol):
    """How a message reaches Slack. Both raise DeliveryFailed and nothing else."""

    async def post(
        self,
        channel_id: str,
        payload: Payload,
        *,
        delivery_id: str,
        group: str,
        revision: int,
        thread_ts: str | None = None,
    ) -> str: ...

    async def update(
        self, channel_id: str, ts: str, payload: Payload, *, delivery_id: str, group: str, revision: int
    ) -> None: ...


@dataclass(slots=True)
class SlackHealth:
    """What `/api/v1/status` says of Slack."""

    state: str = "ok"  # or Slack's last word about the token, or the network's about the way there
    channels_refused: set[str] = field(default_factory=set)  # channel ids


@dataclass(frozen=True, slots=True, kw_only=True)
class _Outgoing:
    """A message on its way."""

    message: Claimed
    channel_id: str
    payload: Payload
    group: str
    reference: str | None  # the notification that its footer names
    thread_ts: str | None = None  # of the message that it replies to


class Delivery:
    """Makes Slack show what messages should show. `monotonic` in seconds; `jitter` gives numbers in 0..1."""

    def __init__(
        self,
        *,
        store: Store,
        sender: Sender,
        ownership: Callable[[], OwnershipMap],
        clock: Callable[[], datetime],
        monotonic: Callable[[], float],
        jitter: Callable[[], float],
        metrics: Metrics,
        wanted: asyncio.Event,
        health: SlackHealth,
    ) -> None:
        self._store = store
        self._sender = sender
        self._ownership = ownership
        self._clock = clock
        self._monotonic = monotonic
        self._jitter = jitter
        self._metrics = metrics
        self._wanted = wanted
        self._pacing = Pacing()
        self._under_way: set[asyncio.Task[None]] = set()
        self._sending: set[int] = set()  # the messages of these
        self._unrecorded: deque[Callable[[Connection], None]] = deque()
        self._health = health

    async def step(self) -> float | None:
        """Send what may be sent now. Returns the seconds until something can be done; None: until woken.

        Raises StoreUnavailable; then nothing was sent.
        """
        await self._write_unrecorded()
        now = self._monotonic()
        fallback = self._ownership().fallback.channel.id
        free = IN_FLIGHT - len(self._under_way)
        posts = min(free, self._pacing.posts_allowed(now))
        edits = min(free, self._pacing.edits_allowed(now))
        if posts or edits:
            due_at = await self._store.read(messages.next_due)
            if due_at is None:
                return None
            late = (due_at - self._clock()).total_seconds()
            if late > 0:
                return late
            claimed = await self._store.write(
                partial(
                    messages.claim,
                    now=self._clock(),
                    lease=LEASE,
                    posts=posts,
                    edits=edits,
                    limit=free,
                    blocked=self._pacing.blocked_channels(now),
                    fallback=fallback,
                )
            )
            for message in claimed:
                # A lease may end by a clock that jumped while its call is still under way: then it was only renewed.
                if message.id not in self._sending:
                    self._start(message, message.channel_id or fallback)
            if claimed:
                return 0.0
        # Of the same instant as what was blocked: a channel that opened meanwhile must not be missed.
        opens = self._pacing.next_free(now)
        return None if opens is None else max(SHORTEST_WAIT_S, opens - self._monotonic())

    @property
    def under_way(self) -> int:
        """How many calls to Slack are under way."""
        return len(self._under_way)

    async def finish(self) -> None:
        """Wait for the calls that are under way; their answers are recorded."""
        if self._under_way:
            await asyncio.wait(self._under_way)
        await self._write_unrecorded()

    def _start(self, message: Claimed, channel_id: str) -> None:
        now = self._monotonic()
        if message.ts is None:
            self._pacing.post_started(channel_id, now)
        else:
            self._pacing.edit_started(now)
        self._sending.add(message.id)
        task = asyncio.create_task(self._deliver(message, channel_id), name=f"delivery-{message.id}")
        self._under_way.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._under_way.discard(task)
        self._wanted.set()
        if not task.cancelled() and (exc := task.exception()) is not None:
            # The message's lease ends and it is tried again; what is broken must be seen.
            log.error("delivery_broken", error=f"{type(exc).__name__}: {exc}", exc_info=exc)

    async def _deliver(self, message: Claimed, channel_id: str) -> None:
        try:
            try:
                outgoing = await self._outgoing(message, channel_id)
            except FAULTS as exc:
                await self._unrenderable(message, channel_id, exc)
                return
            if outgoing is None:
                await self._record(partial(messages.supersede, id=message.id, revision=message.revision))
                return
            try:
                ts = await self._send(outgoing)
            except DeliveryFailed as failed:
                await self._failed(outgoing, failed)
            else:
                await self._delivered(outgoing, ts)
        finally:
            self._sending.discard(message.id)
            if message.ts is None:
                self._pacing.post_ended(channel_id, self._monotonic())

    async def _unrenderable(self, message: Claimed, channel_id: str, exc: Exception) -> None:
        """A fault of ours: a dead letter that is seen, rather than the same fault every twenty seconds."""
        log.error(
            "message_unrenderable", message=message.id, incident=message.incident, kind=message.kind, exc_info=exc
        )
        undelivered = _undelivered(message, channel_id, "cannot_be_rendered", self._ownership())
        error = f"the router failed to render it ({type(exc).__name__})"
        await self._record(
            partial(messages.give_up, claimed=message, error=error, undelivered=undelivered, now=self._clock())
        )

    async def _outgoing(self, message: Claimed, channel_id: str) -> _Outgoing | None:
        """What Slack should show now, rendered from the stored bytes; None for a reply to what was never posted."""
        ownership = self._ownership()
        if message.notice is not None:
            notice = render_notice(message.notice, ownership.language, ownership.fallback.mention)
            return _Outgoing(
                message=message,
                channel_id=channel_id,
                payload=plain(notice) if message.plain else notice,
                group=message.notice.cause,
                reference=message.notice.reference,
            )
        assert message.incident is not None, "a message is of an incident or a notice"  # noqa: S101
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
        return _Outgoing(
            message=message,
            channel_id=channel_id,
            payload=plain(payload) if message.plain else payload,
            group=incident.group,
            reference=shows.reference,
            thread_ts=thread_ts,
        )

    async def _send(self, outgoing: _Outgoing) -> str:
        message = outgoing.message
        delivery_id = f"{message.incident or 'notice'}.{message.kind}.{message.id}"
        if message.ts is None:
            return await self._sender.post(
                outgoing.channel_id,
                outgoing.payload,
                delivery_id=delivery_id,
                group=outgoing.group,
                revision=message.revision,
                thread_ts=outgoing.thread_ts,
            )
        await self._sender.update(
            outgoing.channel_id,
            message.ts,
            outgoing.payload,
            delivery_id=delivery_id,
            group=outgoing.group,
            revision=message.revision,
        )
        return message.ts

    async def _delivered(self, outgoing: _Outgoing, ts: str) -> None:
        message, now = outgoing.message, self._clock()
        await self._record(partial(messages.delivered, id=message.id, revision=message.revision, ts=ts, now=now))
        self._health.state = "ok"
        self._health.channels_refused.discard(outgoing.channel_id)
        self._metrics.delivery_seconds.observe((now - message.wanted_at).total_seconds())
        log.info(
            "message_delivered",
            notification=outgoing.reference,
            incident=message.incident,
            message=message.id,
            kind=message.kind,
            channel=outgoing.channel_id,
            ts=ts,
            attempt=message.attempt,
            edited=message.ts is not None,
        )

    async def _record(self, work: Callable[[Connection], None]) -> None:
        """Write down what Slack did. Where the disk refuses, it is kept in mind and written before anything is sent."""
        try:
            await self._store.write(work)
        except StoreUnavailable:
            self._unrecorded.append(work)

    async def _write_unrecorded(self) -> None:
        while self._unrecorded:
            await self._store.write(self._unrecorded[0])
            self._unrecorded.popleft()

    async def _failed(self, outgoing: _Outgoing, failed: DeliveryFailed) -> None:
        message, channel_id, now = outgoing.message, outgoing.channel_id, self._clock()
        ownership = self._ownership()
        failure = treated_as(failed.failure, attempt=message.attempt)
        facts = {
            "notification": outgoing.reference,
            "message": message.id,
            "incident": message.incident,
            "kind": message.kind,
            "channel": channel_id,
            "reason": failed.reason,
            "attempt": message.attempt,
        }
        if failure is FailureClass.CONTENT and not message.plain:
            log.warning("message_degraded", **facts)
            await self._record(partial(messages.degrade, id=message.id, error=failed.reason, now=now))
            return
        if failure is FailureClass.ROOT_GONE and message.ts is not None:
            log.warning("message_gone", **facts)
            await self._record(partial(messages.forget_root, id=message.id, error=failed.reason, now=now))
            return
        if failure is FailureClass.CHANNEL:
            self._health.channels_refused.add(channel_id)
        gives_up = failure is FailureClass.CONTENT or (
            # The fallback channel is the last one there is: its messages are kept until it takes them. Those that name
            # no channel go to the one of the map in force, which may be another by now.
            failure is FailureClass.CHANNEL
            and message.channel_id is not None
            and channel_id != ownership.fallback.channel.id
        )
        if gives_up:
            log.error("message_undeliverable", **facts)
            undelivered = _undelivered(message, channel_id, failed.reason, ownership)
            await self._record(
                partial(messages.give_up, claimed=message, error=failed.reason, undelivered=undelivered, now=now)
            )
            return
        wait = backoff(message.attempt, failure=failure, retry_after=failed.retry_after, jitter=self._jitter())
        self._hold(message, channel_id, failure, wait, failed)
        if message.attempt == 1:
            log.warning("delivery_failed", **facts, retry_in_s=round(wait.total_seconds(), 1))
        await self._record(partial(messages.retry, id=message.id, error=failed.reason, due_at=now + wait))

    def _hold(
        self, message: Claimed, channel_id: str, failure: FailureClass, wait: timedelta, failed: DeliveryFailed
    ) -> None:
        """Keep others from running into the same refusal."""
        now = self._monotonic()
        until = now + wait.total_seconds()
        if failure is FailureClass.TRANSIENT and failed.retry_after is not None:
            if message.ts is None:
                self._pacing.post_refused(channel_id, until=until, now=now)
            else:
                self._pacing.pause_edits(until)
        if failure in (FailureClass.APP, FailureClass.WORKSPACE):
            self._pacing.pause_posts(until)
            self._pacing.pause_edits(until)
        if failure in (FailureClass.APP, FailureClass.WORKSPACE, FailureClass.NOT_SENT):
            self._health.state = failed.reason


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


def _undelivered(message: Claimed, channel_id: str, reason: str, ownership: OwnershipMap) -> Undelivered | None:
    if message.kind is not MessageKind.ROOT:
        return None  # a copy is nobody's duty, and a message of the fallback channel has nowhere else to go
    named = {channel.id: channel for channel in ownership.channels}
    return Undelivered(channel=named.get(channel_id, Channel(name=channel_id, id=channel_id)), reason=reason)
