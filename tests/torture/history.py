"""What a program did to the files of a database, byte by byte, and when it answered: read from `strace`."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.programs import find

# All that changes a file or its name, and all that an answer can be written with.
CALLS: Final = (
    *("openat", "open", "creat", "unlink", "unlinkat", "rename", "renameat", "renameat2", "link", "linkat"),
    *("pwrite64", "pwritev", "pwritev2", "write", "writev", "sendto", "sendmsg", "ftruncate", "truncate", "fallocate"),
    *("copy_file_range", "sendfile", "splice", "fsync", "fdatasync", "sync_file_range"),
)
ANSWERED: Final = re.compile(rb'"status":"accepted","id":"([^"]+)"')

_LINE: Final = re.compile(rb"^\d+ +(?:(?P<call>\w+)\((?P<text>.*)|<\.\.\. (?P<resumed>\w+) resumed>(?P<rest>.*))$")
_UNFINISHED: Final = b" <unfinished ...>"
_RESULT: Final = re.compile(rb"\) += (?P<result>-?\d+)[^=()]*(?:\([^()]*\))?$")
_QUOTED: Final = re.compile(rb'"([^"]*)"(\.\.\.)?')
_HEXED: Final = re.compile(rb"(?:\\x[0-9a-f]{2})+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A system call, by line numbers: what ended at 7 was over before another began at 8."""

    began: int
    ended: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Write(Call):
    name: str
    offset: int
    data: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Resize(Call):
    name: str
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Create(Call):
    """The name is there from now on, if it was not before."""

    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Remove(Call):
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Rename(Call):
    name: str
    to: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Sync(Call):
    """Of a file: what was written to it. Without a name, of the directory: which names there are."""

    name: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer(Call):
    """Senders were told that these notifications are stored."""

    ids: tuple[str, ...]


Event = Write | Resize | Create | Remove | Rename | Sync | Answer


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """One run of a program on a database."""

    database: Path
    before: Mapping[str, bytes]  # the files that were there, by name, and on the disk
    events: Sequence[Event]  # in the order in which they count, see `at`

    def delicate(self) -> list[Event]:
        """Where a mistake would show: checkpoints, the log begun anew, files that come and go."""
        log = f"{self.database.name}-wal"
        return [
            event
            for event in self.events
            if not isinstance(event, Answer | Write | Sync)
            or (isinstance(event, Write | Sync) and event.name != log)
            or (isinstance(event, Write) and event.offset == 0)
        ]


def at(event: Event) -> int:
    """From when on it counts, always the stricter end: a change may be on the disk, an answer may have been read, once
    the call began; a sync is a promise only once it returned."""
    return event.ended if isinstance(event, Sync) else event.began


def tracing(log: Path) -> list[str]:
    """The command before a command whose history is wanted. Appends, so that one log holds several lives."""
    # -xx: everything that is quoted is in hex, so that nothing in a body looks like a line of the log.
    options = ["-f", "--seccomp-bpf", "-y", "-xx", "-s", "100000000", "-e", "signal=none", "-A", "-o", str(log)]
    return [find("strace") or "strace", *options, "-e", f"trace={','.join(CALLS)}", "--"]


def events_of(log: Path, database: Path, *, answered: re.Pattern[bytes] = ANSWERED) -> Sequence[Event]:
    """Everything that happened to the files of `database`, in the order in which it counts.

    Of its files only two are left out: the lock file is empty, and the -shm is rebuilt by whoever opens the database
    first (sqlite.org/walformat.html#the_wal_index_file_format).
    """
    events = list[Event]()
    for text in _calls(log):
        events += _events(text, database, answered)
    return sorted(events, key=at)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Text(Call):
    name: str
    arguments: bytes
    result: int


def _calls(log: Path) -> Iterator[_Text]:
    """Every call that succeeded."""
    begun: dict[bytes, tuple[int, bytes]] = {}
    with log.open("rb") as lines:
        for number, ended_line in enumerate(lines):
            line = ended_line.rstrip(b"\n")
            thread = line.partition(b" ")[0]
            match = _LINE.match(line)
            if match is None:
                continue  # an exit
            if match["call"] is not None and line.endswith(_UNFINISHED):
                begun[thread] = (number, match["text"].removesuffix(_UNFINISHED))
                continue
            began, text = number, match["text"]
            if match["resumed"] is not None:
                began, text = begun.pop(thread)
                text += match["rest"]
            result = _RESULT.search(text)
            # "?": the process ended within the call, and nobody knows whether it was done.
            if result is not None and int(result["result"]) >= 0:
                name = (match["call"] or match["resumed"]).decode()
                yield _Text(
                    name=name,
                    arguments=text[: result.start()],
                    result=int(result["result"]),
                    began=began,
                    ended=number,
                )


def _events(text: _Text, database: Path, answered: re.Pattern[bytes]) -> Iterator[Event]:
    began, ended = text.began, text.ended
    opened = re.match(rb"\d+<([^>]*)>", text.arguments)
    path = Path(_decoded(opened[1]).decode(errors="replace")) if opened else None
    if path is not None and not path.is_absolute():  # a socket or a pipe
        ids = tuple(found.decode() for found in answered.findall(_data(text)))
        if ids:
            yield Answer(began=began, ended=ended, ids=ids)
        return
    if text.name in ("fsync", "fdatasync"):
        assert path is not None
        if path == database.parent:
            yield Sync(began=began, ended=ended, name=None)
        elif _belongs(path, database):
            yield Sync(began=began, ended=ended, name=path.name)
        return
    match text.name:
        case "openat":
            named = Path(_data(text).decode())
            if _belongs(named, database) and b"O_CREAT" in text.arguments:
                yield Create(began=began, ended=ended, name=named.name)
                if b"O_TRUNC" in text.arguments:
                    yield Resize(began=began, ended=ended, name=named.name, size=0)
        case "unlink":
            named = Path(_data(text).decode())
            if _belongs(named, database):
                yield Remove(began=began, ended=ended, name=named.name)
        case "rename":
            old, new = (Path(_decoded(quoted[0]).decode()) for quoted in _QUOTED.findall(text.arguments))
            if _belongs(old, database) or _belongs(new, database):
                yield Rename(began=began, ended=ended, name=old.name, to=new.name)
        case "pwrite64" if path is not None:
            if _belongs(path, database):
                offset = int(text.arguments.rpartition(b", ")[2])
                yield Write(began=began, ended=ended, name=path.name, offset=offset, data=_data(text)[: text.result])
        case "ftruncate" if path is not None:
            if _belongs(path, database):
                size = int(text.arguments.rpartition(b", ")[2])
                yield Resize(began=began, ended=ended, name=path.name, size=size)
        case _:
            # A history that misses a change would prove nothing.
            assert database.name.encode() not in _decoded(text.arguments), f"{text.name} of a database file"


def _belongs(path: Path, database: Path) -> bool:
    return path.parent == database.parent and path.name in (
        database.name,
        f"{database.name}-wal",
        f"{database.name}-journal",
    )


def _data(text: _Text) -> bytes:
    """All that is quoted, put together: a path, or the buffers of a write."""
    quoted = _QUOTED.findall(text.arguments)
    assert not any(cut for _, cut in quoted), f"{text.name} was cut off by strace"
    return b"".join(_decoded(data) for data, _ in quoted)


def _decoded(text: bytes) -> bytes:
    return _HEXED.sub(lambda match: bytes.fromhex(match[0].replace(b"\\x", b"").decode()), text)
