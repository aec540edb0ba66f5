"""What an operator does about dead letters: replay or drop them, in batches of one transaction each.

A replay takes a dead letter back to where it failed, so that today's router decides it under today's map. It is done at
most once: the row's own state guards it, and a crash leaves each dead letter either replayed or as it was.
"""

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from functools import partial
from typing import Final, TypeVar

import structlog

from router.core.errors import FAULTS, NotUnderstood
from router.core.identifiers import HIGHEST, identifier_of, next_identifier, text_of
from router.core.incidents import group_of
from router.core.model import MessageKind, Notification, Resolution, Source
from router.core.ownership import OwnershipMap
from router.intake.reading import READ_INLINE_BYTES, read
from router.store import dead_letters, inbox
from router.store.database import Connection, Store
from router.store.dead_letters import GivenUp, Quarantined, Whereabouts

log = structlog.get_logger()

T = TypeVar("T")

# One transaction; what arrives meanwhile waits for it. The bytes are those of the bodies that are read for it.
BATCH = 200
BATCH_BYTES = 1024 * 1024
# One answer: a second of work, whatever there is. Who asked goes on from where it ended.
MOST_AT_ONCE = 1000
MOST_BYTES_AT_ONCE = 32 * 1024 * 1024
# As the reason of each notification that could not be read; `error` says more.
NOT_UNDERSTOOD: Final = "not understood"


class LetterKind(StrEnum):
    NOTIFICATION = "notification"
    DELIVERY = "delivery"


class Outcome(StrEnum):
    """What was done about one dead letter. The first three leave the list of dead letters."""

    REPLAYED = "replayed"
    DROPPED = "dropped"
    SUPERSEDED = "superseded"  # nothing is left to show: another message shows it
    OUTDATED = "outdated"  # its alert group was told again since: a replay could show an older state
    BODY_GONE = "body_gone"  # what it said is not kept any more
    NOT_DEAD = "not_dead"  # not a dead letter, or not any more
    UNKNOWN = "unknown"  # no such id


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """How far a selection was worked through: the ids of the last notification and of the last message."""

    notification: int = 0
    message: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Which dead letters: those of these ids, or all that fit."""

    ids: tuple[str, ...] | None = None  # None: all that fit
    kind: LetterKind | None = None
    reason: str | None = None
    before: datetime | None = None
    after: Position = Position()


@dataclass(frozen=True, slots=True, kw_only=True)
class Handled:
    """One dead letter that was asked for, and what was done; in a dry run what would be."""

    id: str
    kind: LetterKind | None  # None: there is none of this id
    outcome: Outcome
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    handled: tuple[Handled, ...]
    next: Position | None  # where to go on; None: that was all


def delivery_id(id: int) -> str:
    """How the API names a message."""
    return f"m{id}"


def message_of(text: str) -> int | None:
    """None for anything that `delivery_id` cannot have written."""
    digits = text.removeprefix("m")
    if text == digits or not (digits.isascii() and digits.isdigit() and len(digits) <= len(str(HIGHEST))):
        return None
    return number if (number := int(digits)) <= HIGHEST else None


class Handling:
    """`drawn` gives random numbers below 2**20; `replayed` wakes those who decide and deliver."""

    def __init__(
        self,
        *,
        store: Store,
        ownership: Callable[[], OwnershipMap],
        clock: Callable[[], datetime],
        drawn: Callable[[], int],
        replayed: Callable[[], None],
    ) -> None:
        self._store = store
        self._ownership = ownership
        self._clock = clock
        self._drawn = drawn
        self._replayed = replayed
        self._last_replay = 0

    def new_replay(self) -> str:
        """The id by which a replay is found in answers, rows and log lines."""
        now_ms = int(self._clock().timestamp() * 1000)
        self._last_replay = next_identifier(now_ms=now_ms, last=self._last_replay, drawn=self._drawn())
        return f"r{text_of(self._last_replay)}"

    async def replay(self, selection: Selection, *, replay: str, outdated: bool, dry_run: bool) -> Done:
        """Take dead letters back to where they failed, the oldest first.

        With `outdated` also notifications whose alert group was told again since. Raises StoreUnavailable; then what
        was replayed before stays replayed, and the rest can be asked for again.
        """
        selected = await self._store.read(partial(_select, selection=selection))
        handled: list[Handled] = []
        for letters in _batches(selected.notifications):
            handled += await self._replay_notifications(letters, replay=replay, outdated=outdated, dry_run=dry_run)
        for deliveries in _slices(selected.deliveries):
            handled += await self._replay_deliveries(deliveries, replay=replay, dry_run=dry_run)
        return Done(handled=(*handled, *map(_unknown, selected.unknown)), next=selected.next)

    async def drop(self, selection: Selection, *, dry_run: bool) -> Done:
        """Take dead letters off the list. They stay counted, and are kept as long as what was delivered."""
        selected = await self._store.read(partial(_select, selection=selection))
        handled: list[Handled] = []
        for letters in _slices(selected.notifications):
            dead = {letter.id for letter in letters if letter.dead}
            if not dry_run:
                work = partial(dead_letters.drop_notifications, ids=sorted(dead), now=self._clock())
                dead = await self._store.write(work)
            for letter in letters:
                handled.append(_dropped(letter, letter.id in dead))
                if letter.id in dead and not dry_run:
                    log.info("dead_letter_dropped", notification=text_of(letter.id), error=letter.error)
        for deliveries in _slices(selected.deliveries):
            dead = {delivery.id for delivery in deliveries if delivery.dead}
            if not dry_run:
                work = partial(dead_letters.drop_deliveries, ids=sorted(dead), now=self._clock())
                dead = await self._store.write(work)
            for delivery in deliveries:
                handled.append(_dropped(delivery, delivery.id in dead))
                if delivery.id in dead and not dry_run:
                    log.info("dead_letter_dropped", message=delivery.id, error=delivery.error)
        return Done(handled=(*handled, *map(_unknown, selected.unknown)), next=selected.next)

    # -- notifications -----------------------------------------------------------------------------------------------

    async def _replay_notifications(
        self, letters: Sequence[Quarantined], *, replay: str, outdated: bool, dry_run: bool
    ) -> list[Handled]:
        dead = [letter.id for letter in letters if letter.dead]
        bodies = await self._store.read(partial(inbox.bodies_of, ids=dead)) if dead else {}
        large = sum(len(body) for _, body in bodies.values()) > READ_INLINE_BYTES
        understood = await _computed(partial(_understood, bodies), large=large)
        foretell = partial(_foretold, letters, understood, self._ownership())
        foretold = await _computed(foretell, large=large) if dry_run else {}
        groups = {
            identifier: group_of(told) for identifier, told in understood.items() if isinstance(told, Notification)
        }
        work = partial(
            _requeue, ids=sorted(bodies), groups={} if outdated else groups, replay=replay, write=not dry_run
        )
        requeued = await (self._store.read(work) if dry_run else self._store.write(work))
        if requeued.ids and not dry_run:
            self._replayed()
        handled = []
        for letter in letters:
            identifier = text_of(letter.id)
            if letter.id in requeued.ids:
                outcome, detail = Outcome.REPLAYED, foretold.get(letter.id, "waits to be decided")
                if not dry_run:
                    log.info("dead_letter_replayed", notification=identifier, replay=replay)
            elif letter.id in requeued.outdated:
                since = text_of(requeued.outdated[letter.id])
                outcome = Outcome.OUTDATED
                detail = f"its alert group was told again since, by {since}; a replay could show an older state"
            elif letter.dead and letter.id not in bodies:
                outcome, detail = Outcome.BODY_GONE, "its body is not kept any more"
            else:
                outcome, detail = Outcome.NOT_DEAD, f"not a dead letter any more{_by(letter.replay)}"
            handled.append(Handled(id=identifier, kind=LetterKind.NOTIFICATION, outcome=outcome, detail=detail))
        return handled

    # -- deliveries --------------------------------------------------------------------------------------------------

    async def _replay_deliveries(self, deliveries: Sequence[GivenUp], *, replay: str, dry_run: bool) -> list[Handled]:
        ownership = self._ownership()
        dead = [delivery for delivery in deliveries if delivery.dead]
        of = sorted({delivery.incident for delivery in dead if delivery.incident is not None})
        found = await self._store.read(partial(dead_letters.whereabouts, ids=of)) if of else {}
        channels = {channel.id: f"#{channel.name}" for channel in ownership.channels}
        superseded = {
            delivery.id: why for delivery in dead if (why := _nothing_left(delivery, found, channels)) is not None
        }
        requeue = [delivery.id for delivery in dead if delivery.id not in superseded]
        now = self._clock()

        def work(connection: Connection) -> tuple[set[int], set[int]]:
            return (
                dead_letters.requeue_deliveries(connection, requeue, replay=replay, now=now),
                dead_letters.drop_deliveries(connection, sorted(superseded), replay=replay, now=now),
            )

        requeued, dropped = (set(requeue), set(superseded)) if dry_run else await self._store.write(work)
        if requeued and not dry_run:
            self._replayed()
        handled = []
        for delivery in deliveries:
            if delivery.id in requeued:
                to = ownership.fallback.channel.id if delivery.channel_id is None else delivery.channel_id
                outcome, detail = Outcome.REPLAYED, f"goes to {channels.get(to, to)}"
                if not dry_run:
                    log.info("dead_letter_replayed", message=delivery.id, incident=delivery.incident, replay=replay)
            elif delivery.id in dropped:
                outcome, detail = Outcome.SUPERSEDED, superseded[delivery.id]
                if not dry_run:
                    log.info(
                        "dead_letter_superseded",
                        message=delivery.id,
                        incident=delivery.incident,
                        replay=replay,
                        why=detail,
                    )
            else:
                outcome, detail = Outcome.NOT_DEAD, f"not a dead letter any more{_by(delivery.replay)}"
            handled.append(
                Handled(id=delivery_id(delivery.id), kind=LetterKind.DELIVERY, outcome=outcome, detail=detail)
            )
        return handled


# -- which ones --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class _Selected:
    notifications: Sequence[Quarantined]
    deliveries: Sequence[GivenUp]
    unknown: Sequence[str] = ()
    next: Position | None = None


def _select(connection: Connection, *, selection: Selection) -> _Selected:
    return _of_ids(connection, selection.ids) if selection.ids is not None else _all_that_fit(connection, selection)


def _of_ids(connection: Connection, ids: Iterable[str]) -> _Selected:
    asked = list(dict.fromkeys(ids))
    of_notifications = {text: found for text in asked if (found := identifier_of(text)) is not None}
    of_messages = {text: found for text in asked if (found := message_of(text)) is not None}
    notifications = [
        letter
        for part in _slices(sorted(of_notifications.values()))
        for letter in dead_letters.notifications(connection, part)
    ]
    deliveries = [
        delivery
        for part in _slices(sorted(of_messages.values()))
        for delivery in dead_letters.deliveries(connection, part)
    ]
    known = {text_of(letter.id) for letter in notifications} | {delivery_id(one.id) for one in deliveries}
    return _Selected(
        notifications=notifications, deliveries=deliveries, unknown=[text for text in asked if text not in known]
    )


def _all_that_fit(connection: Connection, selection: Selection) -> _Selected:
    """The next ones, the oldest first: of a group's notifications the older must be decided before the newer."""
    kind, reason, before, after = selection.kind, selection.reason, selection.before, selection.after
    notifications: list[Quarantined] = []
    if kind is not LetterKind.DELIVERY and reason in (None, NOT_UNDERSTOOD):
        notifications = dead_letters.next_quarantined(
            connection, after=after.notification, before=before, limit=MOST_AT_ONCE + 1
        )
        at_once = _first(notifications[:MOST_AT_ONCE], size=MOST_BYTES_AT_ONCE)
        if len(at_once) < len(notifications):
            position = Position(notification=at_once[-1].id, message=after.message)
            return _Selected(notifications=at_once, deliveries=(), next=position)
    if kind is LetterKind.NOTIFICATION:
        return _Selected(notifications=notifications, deliveries=())
    room = MOST_AT_ONCE - len(notifications)
    deliveries = dead_letters.next_given_up(
        connection, after=after.message, reason=reason, before=before, limit=room + 1
    )
    if len(deliveries) <= room:
        return _Selected(notifications=notifications, deliveries=deliveries)
    position = Position(
        notification=notifications[-1].id if notifications else after.notification,
        message=deliveries[room - 1].id if room else after.message,
    )
    return _Selected(notifications=notifications, deliveries=deliveries[:room], next=position)


def _first(letters: Sequence[Quarantined], *, size: int) -> Sequence[Quarantined]:
    """From the first on so many as are of about `size` bytes together; at least one."""
    held = 0
    for number, letter in enumerate(letters):
        held += letter.size or 0
        if held > size:
            return letters[: max(number, 1)]
    return letters


def _batches(letters: Sequence[Quarantined]) -> Iterator[Sequence[Quarantined]]:
    while letters:
        batch = _first(letters[:BATCH], size=BATCH_BYTES)
        letters = letters[len(batch) :]
        yield batch


def _slices(found: Sequence[T]) -> Iterator[Sequence[T]]:
    return (found[at : at + BATCH] for at in range(0, len(found), BATCH))


async def _computed(work: Callable[[], T], *, large: bool) -> T:
    """What `work` gives; `large` work in a thread, beside the requests."""
    return await asyncio.to_thread(work) if large else work()


# -- what becomes of a notification ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class _Requeued:
    ids: set[int]
    outdated: Mapping[int, int]  # by which later notification


def _requeue(
    connection: Connection, *, ids: Sequence[int], groups: Mapping[int, str], replay: str, write: bool
) -> _Requeued:
    tellings = inbox.told(connection, sorted(set(groups.values()))) if groups else {}
    outdated = {
        notification: tellings[group].notification
        for notification, group in groups.items()
        if group in tellings and tellings[group].notification > notification
    }
    current = [notification for notification in ids if notification not in outdated]
    requeued = dead_letters.requeue_notifications(connection, current, replay=replay) if write else set(current)
    return _Requeued(ids=requeued, outdated=outdated)


def _understood(bodies: Mapping[int, tuple[Source, bytes]]) -> dict[int, Notification | str]:
    """What each says today, or why it is still not understood."""
    return {notification: _read(source, body) for notification, (source, body) in bodies.items()}


def _read(source: Source, body: bytes) -> Notification | str:
    try:
        notification = read(source, body)
    except NotUnderstood as exc:
        return str(exc)
    except FAULTS as exc:
        return f"the router fails on it ({type(exc).__name__})"
    if notification.unreadable and not notification.alerts:
        return f"none of its {len(notification.unreadable)} alerts can be read"
    return notification


def _foretold(
    letters: Iterable[Quarantined], understood: Mapping[int, Notification | str], ownership: OwnershipMap
) -> dict[int, str]:
    """What would become of each under today's map, as of when it came in: so it is decided too."""
    return {
        letter.id: _decision(understood[letter.id], ownership, today=letter.received_at.date())
        for letter in letters
        if letter.id in understood
    }


def _decision(told: Notification | str, ownership: OwnershipMap, *, today: date) -> str:
    if isinstance(told, str):
        return f"would be quarantined again: {told}"
    answers = [
        ownership.resolve(alert.labels, alert.annotations, today=today, route_labels=told.route_labels)
        for alert in told.alerts
    ]
    if not answers:
        return "would be decided: it tells of no alert"
    owners = dict.fromkeys(map(_answer, answers))
    return f"would be decided: {'; '.join(owners)}"


def _answer(resolution: Resolution) -> str:
    via = resolution.via
    entry = f" {via.entry}" if via.entry is not None else ""
    owner = "dropped" if resolution.dropped else resolution.owner or "nobody"
    return f"{owner} via {via.stage}{entry} ({via.file}:{via.line})"


# -- what becomes of a delivery ----------------------------------------------------------------------------------------


def _nothing_left(delivery: GivenUp, found: Mapping[str, Whereabouts], channels: Mapping[str, str]) -> str | None:
    """Why there is nothing to show any more, in words; None where there is something."""
    if delivery.incident is None:
        return None if _on_the_map(delivery, channels) else "the map does not name its channel any more"
    incident = found.get(delivery.incident)
    if incident is None:
        return "its incident is not kept any more"
    if delivery.ts is not None:
        return None  # it stands in Slack, with an old state
    if incident.handed_over and delivery.kind in (MessageKind.ROOT, MessageKind.COPY):
        now = "; ".join(
            f"incident {move.incident} shows it now in {channels.get(move.channel_id, move.channel_id)}"
            for move in incident.moved_to
        )
        return f"the map gave it to {incident.moved_to[-1].owner or 'nobody'}: {now}"
    return None if _on_the_map(delivery, channels) else "the map does not name its channel any more"


def _on_the_map(delivery: GivenUp, channels: Mapping[str, str]) -> bool:
    return delivery.channel_id is None or delivery.channel_id in channels


# -- words -------------------------------------------------------------------------------------------------------------


def _dropped(letter: Quarantined | GivenUp, was_dead: bool) -> Handled:
    notification = isinstance(letter, Quarantined)
    return Handled(
        id=text_of(letter.id) if notification else delivery_id(letter.id),
        kind=LetterKind.NOTIFICATION if notification else LetterKind.DELIVERY,
        outcome=Outcome.DROPPED if was_dead else Outcome.NOT_DEAD,
        detail=letter.error if was_dead else f"not a dead letter any more{_by(letter.replay)}",
    )


def _unknown(id: str) -> Handled:
    return Handled(id=id, kind=None, outcome=Outcome.UNKNOWN, detail="no dead letter has this id")


def _by(replay: str | None) -> str:
    return "" if replay is None else f": replayed by {replay}"
