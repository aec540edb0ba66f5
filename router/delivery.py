"""From messages that should show something to Slack showing it: claim, commit, send, record.

What was done is recorded last, so a crash repeats a message and never loses one. How often and how fast Slack may be
called is `notify.pacing`, when it is not called at all `notify.breaker`; what an answer means is `core.retry`.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Collection, Coroutine, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Protocol

import structlog

from router.composing import Composer, NotYet, Outgoing
from router.core.errors import FAULTS, DeliveryFailed, StoreUnavailable
from router.core.model import Channel, FailureClass, MessageKind, Undelivered
from router.core.ownership import OwnershipMap
from router.core.retry import REPLIES_REFUSED, backoff, treated_as
from router.leadership import Lease, SoleLease
from router.notify.breaker import Breaker
from router.notify.layout import Payload, resent
from router.notify.pacing import Pacing
from router.notify.slack import Found
from router.store import channels, sending
from router.store.channels import Refused
from router.store.database import Connection, Store
from router.store.sending import Claimed
from router.telemetry import Metrics

log = structlog.get_logger()

# Slack is given 10 s to answer (notify.slack); what a crash left in flight waits until that has surely passed.
LEASE = timedelta(seconds=20)
ANSWER_WITHIN_S = 10.0
# How many calls to Slack may be under way. Its limits, not ours, decide the throughput.
IN_FLIGHT = 16
SHORTEST_WAIT_S = 0.001
# A post whose answer was lost is looked for after the first of these, and is surely not there after the second.
LOOK_AFTER = timedelta(seconds=2)
ABSENT_AFTER = timedelta(seconds=8)
# Slack takes few calls that read; what cannot be looked for now is looked for a little later.
READ_LATER = timedelta(seconds=3)
# A history that fails so long is as good as closed: people are waiting for what may never have been posted.
LOOK_FOR = timedelta(minutes=2)
# How long at a time a reply waits for what it goes below: that may be more urgent by now, or its time have been told by
# a clock that jumped.
ROOT_LATER, ROOT_LATEST = timedelta(seconds=2), timedelta(minutes=1)
# How long a channel that refused is left alone before it is asked whether it takes messages again.
REFUSED_FOR = timedelta(minutes=15)
# Where that question got no answer about the channel.
ASK_AGAIN = timedelta(minutes=1)
# What is told elsewhere in one transaction because its channel refuses.
DIVERTED = 100
# What a call that only reads says about those that write. A limit, or a fault, is of its method alone.
OF_EVERY_CALL = (FailureClass.APP, FailureClass.WORKSPACE, FailureClass.NOT_SENT)
# What ends when Slack can be reached again.
OF_SLACK = (FailureClass.APP, FailureClass.WORKSPACE, FailureClass.NOT_SENT, FailureClass.AMBIGUOUS)


class Sender(Protocol):
    """How a message reaches Slack. Its methods raise DeliveryFailed and nothing else."""

    async def post(
        self,
        channel_id: str,
        payload: Payload,
        *,
        delivery_id: str,
        group: str,
        revision: int,
        thread_ts: str | None = None,
        broadcast: bool = False,
    ) -> str: ...

    async def update(
        self, channel_id: str, ts: str, payload: Payload, *, delivery_id: str, group: str, revision: int
    ) -> None: ...

    async def find(
        self, channel_id: str, *, delivery_id: str, since: datetime, thread_ts: str | None = None
    ) -> Found | None: ...

    async def delete(self, channel_id: str, ts: str) -> None: ...

    async def probe(self) -> None: ...

    async def channel_takes(self, channel_id: str) -> str | None: ...

    async def address_of(self, channel_id: str, ts: str) -> str | None: ...


@dataclass(slots=True)
class SlackHealth:
    """What `/api/v1/status` says of Slack."""

    # Or Slack's last word about the token, the network's about the way there, or standby: another router delivers.
    state: str = "ok"


class Delivery:
    """Makes Slack show what messages should show. `monotonic` in seconds; `jitter` gives numbers in 0..1.

    `buttons`: what people press in Slack reaches this router.
    """

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
        buttons: bool = False,
        pacing: Pacing | None = None,
        lease: Lease | None = None,
    ) -> None:
        self._store = store
        self._sender = sender
        self._ownership = ownership
        self._clock = clock
        self._monotonic = monotonic
        self._jitter = jitter
        self._metrics = metrics
        self._wanted = wanted
        self._composer = Composer(store=store, ownership=ownership, address=sender.address_of, buttons=buttons)
        self._pacing = pacing if pacing is not None else Pacing()
        self._lease = lease if lease is not None else SoleLease()
        self._breaker = Breaker()
        self._under_way: set[asyncio.Task[None]] = set()
        self._sending: set[int] = set()  # the messages of these
        self._probing: set[str] = set()  # channels that are asked whether they take messages again
        self._refusing: Collection[str] = ()  # channels, as they were when it last looked
        self._unrecorded: deque[Callable[[Connection], object]] = deque()
        self._health = health

    async def step(self) -> float | None:
        """Send what may be sent now. Returns the seconds until something can be done; None: until woken.

        Raises StoreUnavailable or LeaseLost; then nothing was sent.
        """
        await self._write_unrecorded()
        if self._breaker.is_open:
            await self._probe()
            if self._breaker.probe_at is not None:
                return max(SHORTEST_WAIT_S, self._breaker.probe_at - self._monotonic())
        now, at = self._monotonic(), self._clock()
        due_at, refused = await self._store.read(partial(_look, now=at))
        self._refusing = refused.keys()
        fallback = self._ownership().fallback.channel.id
        ask_at = self._ask_again(refused, at)
        if due_at is None or due_at > at:
            return _seconds_until(at, due_at, ask_at)
        closed = {channel: why for channel, why in refused.items() if channel != fallback}
        if closed and await self._divert(closed) == DIVERTED:
            return 0.0
        free = (1 if self._breaker.trial else IN_FLIGHT) - len(self._under_way)
        posts = min(free, self._pacing.posts_allowed(now))
        edits = min(free, self._pacing.edits_allowed(now))
        if posts or edits:
            claimed = await self._store.write(
                partial(
                    self._claim,
                    now=at,
                    lease=LEASE,
                    posts=posts,
                    edits=edits,
                    limit=free,
                    blocked=self._pacing.blocked_channels(now) | closed.keys(),
                    fallback=fallback,
                    served=self._pacing.served,
                    under_way=self._sending,
                )
            )
            for message in claimed:
                self._start(message, message.posted_in or message.channel_id or fallback, claimed_at=now)
            if claimed:
                return 0.0
        # Of the same instant as what was blocked: a channel that opened meanwhile must not be missed.
        opens = self._pacing.next_free(now)
        return None if opens is None else max(SHORTEST_WAIT_S, opens - self._monotonic())

    def _claim(self, connection: Connection, **what: Any) -> list[Claimed]:  # Any: passed through to sending.claim
        # This process may have stood still since it looked whether it is the one that delivers.
        self._lease.guard()(connection)
        return sending.claim(connection, **what)

    @property
    def under_way(self) -> int:
        """How many calls to Slack are under way."""
        return len(self._under_way)

    async def finish(self, *, within_s: float = ANSWER_WITHIN_S) -> None:
        """Wait for the calls that are under way; their answers are recorded.

        Where the database is away they are kept in mind; a process that ends leaves them in doubt, to the next one. So
        it does with calls that take longer, as a search through a long history: a process that is to end must end.
        """
        if self._under_way:
            _, late = await asyncio.wait(self._under_way, timeout=within_s)
            for task in late:
                log.warning("call_abandoned", call=task.get_name(), waited_s=within_s)
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)
        try:
            await self._write_unrecorded()
        except StoreUnavailable as exc:
            log.warning("answers_not_recorded", number=len(self._unrecorded), error=str(exc))

    # -- one message -------------------------------------------------------------------------------------------------

    def _start(self, message: Claimed, channel_id: str, *, claimed_at: float) -> None:
        now = self._monotonic()
        if message.ts is None:
            self._pacing.post_started(channel_id, now)
        else:
            self._pacing.edit_started(channel_id, now)
        self._sending.add(message.id)
        self._begin(self._deliver(message, channel_id, claimed_at=claimed_at), name=f"delivery-{message.id}")

    def _begin(self, work: Coroutine[None, None, None], *, name: str) -> None:
        task = asyncio.create_task(work, name=name)
        self._under_way.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._under_way.discard(task)
        self._wanted.set()
        if not task.cancelled() and (exc := task.exception()) is not None:
            # The message's lease ends and it is tried again; what is broken must be seen.
            log.error("delivery_broken", error=f"{type(exc).__name__}: {exc}", exc_info=exc)

    async def _deliver(self, message: Claimed, channel_id: str, *, claimed_at: float) -> None:
        unsent = False
        try:
            try:
                outgoing = await self._composer.compose(message, channel_id)
            except StoreUnavailable:
                self._unrecorded.append(partial(sending.release, claimed=[message], due_at=self._clock()))
                return
            except FAULTS as exc:
                await self._unrenderable(message, channel_id, exc)
                return
            if outgoing is None or isinstance(outgoing, NotYet):
                unsent = True
                await self._leave(message, outgoing)
                return
            try:
                if message.ts is None and message.asked_at is not None:
                    await self._clear_up(outgoing, message.asked_at, claimed_at=claimed_at)
                else:
                    await self._send(outgoing, claimed_at=claimed_at)
            except DeliveryFailed as failed:
                await self._failed(outgoing, failed)
        finally:
            self._sending.discard(message.id)
            if message.ts is None and unsent:
                self._pacing.post_left_out(channel_id)
            elif message.ts is None:
                self._pacing.post_ended(channel_id, self._monotonic())

    async def _leave(self, message: Claimed, why: NotYet | None) -> None:
        if why is None:
            await self._record(partial(sending.supersede, claimed=message))
            return
        now = self._clock()
        due_at = min(max(why.until, now + ROOT_LATER), now + ROOT_LATEST)
        await self._record(partial(sending.release, claimed=[message], due_at=due_at))

    async def _send(self, outgoing: Outgoing, *, claimed_at: float) -> None:
        message = outgoing.message
        if self._monotonic() - claimed_at > LEASE.total_seconds() - ANSWER_WITHIN_S:
            # The process stood still meanwhile. Somebody else may send this as soon as the lease has ended.
            log.warning("claim_outlived", message=message.id, incident=message.incident)
            return
        ts = message.ts
        if ts is None:
            ts = await self._sender.post(
                outgoing.channel_id,
                outgoing.payload,
                delivery_id=outgoing.delivery_id,
                group=outgoing.group,
                revision=message.revision,
                thread_ts=outgoing.thread_ts,
                broadcast=outgoing.thread_ts is not None and outgoing.payload.broadcast,
            )
        else:
            await self._sender.update(
                outgoing.channel_id,
                ts,
                outgoing.payload,
                delivery_id=outgoing.delivery_id,
                group=outgoing.group,
                revision=message.revision,
            )
        await self._delivered(outgoing, ts, revision=message.revision)

    async def _clear_up(self, outgoing: Outgoing, asked_at: datetime, *, claimed_at: float) -> None:
        """Whether a post took effect whose answer was lost: look for it, and post again only if it is not there."""
        message, now = outgoing.message, self._clock()
        found: Found | None = None
        known = True
        if not self._pacing.reads_allowed(self._monotonic()):
            await self._look_later(message, now + READ_LATER)
            return
        self._pacing.read_started(self._monotonic())
        try:
            found = await self._sender.find(
                outgoing.channel_id,
                delivery_id=outgoing.delivery_id,
                since=asked_at,
                thread_ts=outgoing.thread_ts,
            )
        except DeliveryFailed as failed:
            self._pause_reads(failed)
            if not await self._cannot_be_known(failed, asked_at=asked_at, now=now):
                await self._failed(outgoing, failed, looking=True)
                return
            known = False
            log.warning("post_cannot_be_looked_for", message=message.id, reason=failed.reason)
        if found is not None:
            self._metrics.doubts.labels("found").inc()
            await self._delivered(outgoing, found.ts, revision=min(found.revision, message.revision), adopted=True)
            await self._delete(outgoing.channel_id, found.younger)
            return
        if known and asked_at <= now < asked_at + ABSENT_AFTER:
            # Slack's history may lag behind what it accepted. (Asked later than now: the clock went back.)
            await self._look_later(message, asked_at + ABSENT_AFTER)
            return
        self._metrics.doubts.labels("absent" if known else "resent").inc()
        if not await self._store.write(partial(sending.ask, claimed=message, now=now)):
            return  # somebody else has it by now
        await self._send(outgoing if known else outgoing.marked(resent), claimed_at=claimed_at)

    async def _cannot_be_known(self, failed: DeliveryFailed, *, asked_at: datetime, now: datetime) -> bool:
        """Whether looking again would not help either: the history is closed to us, too long, or fails for long."""
        if failed.failure is FailureClass.APP:
            return failed.reason in _OF_THE_METHOD or await self._is_taken()
        if failed.reason == "history_too_long" or failed.failure in _CLOSED:
            return True
        return failed.failure not in OF_EVERY_CALL and not asked_at <= now < asked_at + LOOK_FOR

    async def _is_taken(self) -> bool:
        """Whether Slack takes our token: then it refused the method, and not the app."""
        try:
            await self._sender.probe()
        except DeliveryFailed:
            return False
        return True

    def _pause_reads(self, failed: DeliveryFailed) -> None:
        if failed.retry_after is not None:
            self._pacing.pause_reads(self._monotonic() + failed.retry_after.total_seconds())

    async def _look_later(self, message: Claimed, due_at: datetime) -> None:
        await self._record(
            partial(
                sending.retry,
                claimed=message,
                failure=FailureClass.AMBIGUOUS,
                error="its answer was lost",
                due_at=due_at,
                in_doubt=True,
            )
        )

    async def _delete(self, channel_id: str, copies: Collection[str]) -> None:
        """Copies of a message that was posted more than once: people need not read it twice."""
        for ts in copies:
            try:
                await self._sender.delete(channel_id, ts)
            except DeliveryFailed as failed:
                log.warning("copy_not_deleted", channel=channel_id, ts=ts, reason=failed.reason)

    async def _unrenderable(self, message: Claimed, channel_id: str, exc: Exception) -> None:
        """A fault of ours: a dead letter that is seen, rather than the same fault every twenty seconds."""
        log.error(
            "message_unrenderable", message=message.id, incident=message.incident, kind=message.kind, exc_info=exc
        )
        undelivered = _undelivered(message, channel_id, "cannot_be_rendered", self._ownership())
        await self._record(
            partial(
                sending.give_up,
                claimed=message,
                failure=None,
                error=f"the router failed to render it ({type(exc).__name__})",
                undelivered=undelivered,
                now=self._clock(),
            )
        )

    # -- what came of it ---------------------------------------------------------------------------------------------

    async def _delivered(self, outgoing: Outgoing, ts: str, *, revision: int, adopted: bool = False) -> None:
        message, now = outgoing.message, self._clock()
        await self._record(
            partial(
                sending.delivered,
                claimed=message,
                ts=ts,
                revision=revision,
                channel_id=outgoing.channel_id,
                now=now,
            )
        )
        if self._breaker.succeeded():
            await self._slack_is_back()
        if outgoing.channel_id in self._refusing:
            log.info("channel_readmitted", channel=outgoing.channel_id)
            await self._record(partial(channels.readmit, channel_id=outgoing.channel_id))
        self._health.state = "ok"
        self._metrics.delivery_seconds.observe((now - message.wanted_at).total_seconds())
        if message.kind is MessageKind.DIGEST and message.ts is None:
            self._metrics.digests.inc()
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
            adopted=adopted,
        )

    async def _failed(self, outgoing: Outgoing, failed: DeliveryFailed, *, looking: bool = False) -> None:
        """What Slack's refusal means for the message (docs/reference/slack-outcomes.md).

        `looking`: it was not sent, only looked for, and the doubt stays.
        """
        message, channel_id, now = outgoing.message, outgoing.channel_id, self._clock()
        failure = treated_as(failed.failure, attempt=message.attempt)
        facts: dict[str, Any] = {  # Any: as structlog takes them
            "notification": outgoing.reference,
            "message": message.id,
            "incident": message.incident,
            "kind": message.kind,
            "channel": channel_id,
            "reason": failed.reason,
            "failure": failure,
            "attempt": message.attempt,
        }
        if outgoing.thread_ts is not None and (failure is FailureClass.ROOT_GONE or failed.reason in REPLIES_REFUSED):
            # Nothing can be said below that message. What it says itself is edited, and finds out where it is gone.
            log.warning("reply_refused", **facts)
            record = partial(sending.supersede, claimed=message)
            if outgoing.payload.broadcast:
                # Who is called by it is called by nothing else: at once, in the channel itself.
                record = partial(
                    sending.retry,
                    claimed=message,
                    failure=FailureClass.ROOT_GONE,
                    error=failed.reason,
                    due_at=now,
                    in_doubt=False,
                )
            await self._record(record)
            return
        if not looking or failure in OF_EVERY_CALL:
            self._tell_breaker(failed)
        if failure is FailureClass.CONTENT and not message.plain:
            log.warning("message_degraded", **facts)
            await self._record(partial(sending.degrade, claimed=message, error=failed.reason, now=now))
            return
        if failure is FailureClass.ROOT_GONE and message.ts is not None:
            log.warning("message_gone", **facts)
            await self._record(partial(sending.forget_root, claimed=message, error=failed.reason, now=now))
            return
        # The fallback channel is the last one there is: its messages are kept until it takes them. Those that name no
        # channel go to the one of the map in force, which may be another by now.
        last_resort = message.channel_id is None or channel_id == self._ownership().fallback.channel.id
        if failure is FailureClass.CONTENT or (failure is FailureClass.CHANNEL and not last_resort):
            _log_given_up(**facts)
            await self._record(
                partial(self._give_up, outgoing=outgoing, failure=failure, reason=failed.reason, now=now)
            )
            return
        wait = backoff(message.attempt, failure=failure, retry_after=failed.retry_after, jitter=self._jitter())
        doubted = failure is FailureClass.AMBIGUOUS and message.ts is None and not looking
        if doubted:
            wait = max(wait, LOOK_AFTER)
            self._metrics.doubts.labels("asked").inc()
        if not looking or failure in OF_EVERY_CALL:
            self._hold(message, channel_id, failure, wait, failed)
        if message.attempt == 1:
            log.warning("delivery_failed", **facts, retry_in_s=round(wait.total_seconds(), 1))
        record = partial(
            sending.retry,
            claimed=message,
            failure=failure,
            error=failed.reason,
            due_at=now + wait,
            in_doubt=doubted or looking,
        )
        if failure is FailureClass.CHANNEL:
            record = partial(self._refused, record=record, channel_id=channel_id, reason=failed.reason, now=now)
        await self._record(record)

    def _refused(
        self,
        connection: Connection,
        *,
        record: Callable[[Connection], bool],
        channel_id: str,
        reason: str,
        now: datetime,
    ) -> bool:
        channels.refuse(connection, channel_id, reason=reason, now=now, probe_at=now + REFUSED_FOR)
        return record(connection)

    def _give_up(
        self, connection: Connection, *, outgoing: Outgoing, failure: FailureClass, reason: str, now: datetime
    ) -> bool:
        message, channel_id = outgoing.message, outgoing.channel_id
        undelivered = _undelivered(message, channel_id, reason, self._ownership())
        if not sending.give_up(connection, message, failure=failure, error=reason, undelivered=undelivered, now=now):
            return False
        if failure is FailureClass.CHANNEL:
            channels.refuse(connection, channel_id, reason=reason, now=now, probe_at=now + REFUSED_FOR)
        return True

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
        if failure is FailureClass.CHANNEL:
            if channel_id not in self._refusing:
                log.critical("fallback_channel_refuses", channel=channel_id, reason=failed.reason)
            self._pacing.close(channel_id, until)

    def _tell_breaker(self, failed: DeliveryFailed) -> None:
        if self._breaker.failed(failed, self._monotonic(), jitter=self._jitter()):
            log.error("slack_away", reason=failed.reason, failure=failed.failure)
        if self._breaker.reason is not None:
            self._health.state = self._breaker.reason

    # -- Slack as a whole, and channels ------------------------------------------------------------------------------

    async def _probe(self) -> None:
        """Ask Slack whether it is there, when that is due."""
        if not self._breaker.probe_due(self._monotonic()):
            return
        self._breaker.probe_started(self._monotonic(), jitter=self._jitter())
        try:
            await self._sender.probe()
        except DeliveryFailed as failed:
            self._breaker.probe_failed(failed, self._monotonic(), jitter=self._jitter())
            if self._breaker.reason is not None:
                self._health.state = self._breaker.reason
        else:
            if self._breaker.probe_succeeded():
                await self._slack_is_back()

    async def _slack_is_back(self) -> None:
        self._health.state = "ok"
        log.info("slack_back")
        await self._record(partial(sending.hurry, failures=OF_SLACK, now=self._clock()))

    async def _divert(self, refused: Mapping[str, Refused]) -> int:
        """Tell the fallback channel what is meant for channels that refuse; how many messages that were."""
        now, ownership = self._clock(), self._ownership()

        def divert(connection: Connection) -> list[Claimed]:
            self._lease.guard()(connection)
            claimed = sending.claim_refused(
                connection, now=now, lease=LEASE, channels=refused, limit=DIVERTED, under_way=self._sending
            )
            for message in claimed:
                channel_id = message.channel_id or ""
                reason = refused[channel_id].reason
                sending.give_up(
                    connection,
                    message,
                    failure=FailureClass.CHANNEL,
                    error=reason,
                    undelivered=_undelivered(message, channel_id, reason, ownership),
                    now=now,
                )
            return claimed

        diverted = await self._store.write(divert)
        for message in diverted:
            _log_given_up(
                message=message.id,
                incident=message.incident,
                kind=message.kind,
                channel=message.channel_id,
                reason=refused[message.channel_id or ""].reason,
                failure=FailureClass.CHANNEL,
                attempt=message.attempt,
            )
        return len(diverted)

    def _ask_again(self, refused: Mapping[str, Refused], at: datetime) -> datetime | None:
        """Ask channels whose time has come whether they take messages again; when the next one's comes."""
        later = [why.probe_at for why in refused.values() if why.probe_at > at]
        for channel_id, why in refused.items():
            if why.probe_at > at or channel_id in self._probing:
                continue
            if not self._pacing.reads_allowed(self._monotonic()):
                later.append(at + READ_LATER)
                break
            self._pacing.read_started(self._monotonic())
            self._probing.add(channel_id)
            self._begin(self._ask_channel(channel_id, why), name=f"probe-{channel_id}")
        return min(later, default=None)

    async def _ask_channel(self, channel_id: str, why: Refused) -> None:
        try:
            reason, wait = None, REFUSED_FOR
            try:
                reason = await self._sender.channel_takes(channel_id)
            except DeliveryFailed as failed:
                # That says nothing of the channel: what people are told stays its own word.
                self._pause_reads(failed)
                reason, wait = why.reason, ASK_AGAIN
            now = self._clock()
            if reason is None:
                log.info("channel_readmitted", channel=channel_id)
                await self._record(partial(channels.readmit, channel_id=channel_id))
            else:
                await self._record(
                    partial(channels.refuse, channel_id=channel_id, reason=reason, now=now, probe_at=now + wait)
                )
        finally:
            self._probing.discard(channel_id)

    # -- the record --------------------------------------------------------------------------------------------------

    async def _record(self, work: Callable[[Connection], object]) -> None:
        """Write down what Slack did. Where the disk refuses, it is kept in mind and written before anything is sent."""
        try:
            await self._store.write(partial(self._written, work=work))
        except StoreUnavailable:
            self._unrecorded.append(work)

    def _written(self, connection: Connection, *, work: Callable[[Connection], object]) -> None:
        if work(connection) is False:
            self._metrics.stale_records.inc()

    async def _write_unrecorded(self) -> None:
        while self._unrecorded:
            try:
                await self._store.write(partial(self._written, work=self._unrecorded[0]))
            except FAULTS as exc:
                # Its message is in doubt until it is claimed again; what waits behind it is not held up.
                log.error("record_broken", error=f"{type(exc).__name__}: {exc}", exc_info=exc)
            self._unrecorded.popleft()


def _look(connection: Connection, *, now: datetime) -> tuple[datetime | None, Mapping[str, Refused]]:
    return sending.next_due(connection, now=now), channels.refused(connection)


def _seconds_until(at: datetime, *instants: datetime | None) -> float | None:
    waits = [(instant - at).total_seconds() for instant in instants if instant is not None]
    return max(SHORTEST_WAIT_S, min(waits)) if waits else None


def _log_given_up(*, kind: MessageKind, failure: FailureClass, **facts: object) -> None:
    """A reply that its channel refuses is no dead letter (store.sending.give_up)."""
    if kind is MessageKind.REPLY and failure is FailureClass.CHANNEL:
        log.warning("reply_refused", kind=kind, failure=failure, **facts)
    else:
        log.error("message_undeliverable", kind=kind, failure=failure, **facts)


_OF_THE_METHOD = ("missing_scope", "not_allowed_token_type", "method_deprecated", "unknown_method")
_CLOSED = (FailureClass.CHANNEL, FailureClass.CONTENT, FailureClass.ROOT_GONE, FailureClass.UNKNOWN)


def _undelivered(message: Claimed, channel_id: str, reason: str, ownership: OwnershipMap) -> Undelivered | None:
    if message.kind not in (MessageKind.ROOT, MessageKind.DIGEST, MessageKind.ESCALATED, MessageKind.REPLY):
        return None  # a copy is nobody's duty, and a message of the fallback channel has nowhere else to go
    named = {channel.id: channel for channel in ownership.channels}
    return Undelivered(channel=named.get(channel_id, Channel(name=channel_id, id=channel_id)), reason=reason)
