"""A disk that forgets: what was synced is there after the power went, and of the rest nothing, all, or any part."""

import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum, auto
from itertools import islice, pairwise
from typing import Final

from tests.torture.history import Answer, Create, Event, History, Remove, Rename, Resize, Sync, Write, at

SECTOR: Final = 512

Image = Mapping[str, bytes]  # by file name


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """What the power left, and what had been promised by then."""

    at: int  # line of the log
    image: Image
    acknowledged: frozenset[str]


def cuts_of(
    history: History, cuts: int, chance: random.Random, acknowledged: frozenset[str] = frozenset()
) -> Iterator[Cut]:
    """So many cuts in the order of their moments: a third anywhere, a third at answers, a third where it is delicate.

    `acknowledged` is what had been promised before this history.
    """
    answers = [event for event in history.events if isinstance(event, Answer)]
    places = (history.events, answers, history.delicate())
    moments = sorted(at(chance.choice(places[number % len(places)])) for number in range(cuts))
    disk, done = Disk(history.before), 0
    for moment in moments:
        for event in islice(history.events, done, None):
            if at(event) > moment:
                break
            done += 1
            disk.follow(event)
            if isinstance(event, Answer):
                acknowledged |= set(event.ids)
        yield Cut(at=moment, image=disk.cut(chance), acknowledged=acknowledged)


def seen_after(history: History) -> Image:
    """The files as every process sees them at the end, with the power on."""
    disk = Disk(history.before)
    for event in history.events:
        disk.follow(event)
    return disk.seen()


class Survives(Enum):
    """Of what was not synced."""

    NOTHING = auto()
    EVERYTHING = auto()
    SOME = auto()  # each sector or not, in any order, and one of them torn


@dataclass(slots=True)
class _File:
    synced: bytearray = field(default_factory=bytearray)
    unsynced: list[Write | Resize] = field(default_factory=list)


class Disk:
    """The directory of one database. It follows a history event by event and can be cut off after any of them."""

    def __init__(self, before: Image) -> None:
        """`before` is there already, and synced."""
        self._synced = {name: _File(synced=bytearray(content)) for name, content in before.items()}
        self._names = dict(self._synced)
        self._renamings: list[tuple[int, dict[str, _File | None]]] = []  # not synced, with the line of their end

    def follow(self, event: Event) -> None:
        match event:
            case Write() | Resize():
                self._names[event.name].unsynced.append(event)
            case Create():
                if event.name not in self._names:
                    self._rename(event.ended, {event.name: _File()})
            case Remove():
                self._rename(event.ended, {event.name: None})
            case Rename():
                self._rename(event.ended, {event.name: None, event.to: self._names[event.name]})
            case Sync(name=None):
                self._sync_names(event)
            case Sync():
                _sync(self._names[event.name or ""], event)
            case Answer():
                pass

    def seen(self) -> Image:
        """The files as every process sees them while there is power."""
        return {name: _content(file, Survives.EVERYTHING, random.Random(0)) for name, file in self._names.items()}  # noqa: S311

    def cut(self, chance: random.Random) -> Image:
        """The files after the power went."""
        names = dict(self._synced)
        # A journaling file system keeps the order of changes of names, and may be behind with them.
        for _, change in self._renamings[: chance.randint(0, len(self._renamings))]:
            _apply(names, change)
        return {name: _content(file, chance.choice(list(Survives)), chance) for name, file in names.items()}

    def _rename(self, ended: int, change: dict[str, _File | None]) -> None:
        self._renamings.append((ended, change))
        _apply(self._names, change)

    def _sync_names(self, sync: Sync) -> None:
        while self._renamings and self._renamings[0][0] < sync.began:
            _apply(self._synced, self._renamings.pop(0)[1])


def _apply(names: dict[str, _File], change: Mapping[str, _File | None]) -> None:
    for name, file in change.items():
        if file is None:
            names.pop(name, None)
        else:
            names[name] = file


def _sync(file: _File, sync: Sync) -> None:
    """What was over before the sync began is safe; what was under way beside it is not."""
    late = list[Write | Resize]()
    for change in file.unsynced:
        if change.ended < sync.began:
            _do(file.synced, change)
        else:
            late.append(change)
    file.unsynced = late


def _content(file: _File, survives: Survives, chance: random.Random) -> bytes:
    content = bytearray(file.synced)
    if survives is Survives.NOTHING:
        return bytes(content)
    for change in file.unsynced:
        if survives is Survives.EVERYTHING or (isinstance(change, Resize) and chance.random() < 0.5):
            _do(content, change)
        elif isinstance(change, Write):
            _do_partly(content, change, chance)
    return bytes(content)


def _do(content: bytearray, change: Write | Resize) -> None:
    if isinstance(change, Resize):
        del content[change.size :]
        content.extend(bytes(change.size - len(content)))
    else:
        _put(content, change.offset, change.data)


def _do_partly(content: bytearray, write: Write, chance: random.Random) -> None:
    end = write.offset + len(write.data)
    bounds = [write.offset, *range((write.offset // SECTOR + 1) * SECTOR, end, SECTOR), end]
    torn = chance.randrange(len(bounds) - 1)
    for number, (begin, stop) in enumerate(pairwise(bounds)):
        if number == torn:
            stop = chance.randint(begin, stop)
        elif chance.random() < 0.5:
            continue
        _put(content, begin, write.data[begin - write.offset : stop - write.offset])


def _put(content: bytearray, offset: int, data: bytes) -> None:
    if data:
        content.extend(bytes(max(0, offset - len(content))))
        content[offset : offset + len(data)] = data
