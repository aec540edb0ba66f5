"""Power cuts, simulated on what the real router did to its disk.

A killed process leaves its writes to the kernel, so `kill -9` says nothing about durability. Here `strace` records
every byte that `router serve` wrote, every sync, and when each sender had its answer. From one such history follow as
many power cuts as one likes: at any point, with nothing, all, or any torn part of what was not synced.
"""

import json
import random
import sqlite3
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from router.core.identifiers import identifier_of
from router.preview.workspace import ChannelSeed, Content, Message
from tests.acceptance.organisation import CHANNELS, alert, body, channel_of, map_of, write_map
from tests.programs import eventually
from tests.router_process import RouterProcess, SlackAccess, drained
from tests.slack import SlackServer
from tests.torture.disk import Cut, Image, cuts_of, seen_after
from tests.torture.history import History, Sync, events_of, tracing
from tests.torture.stored import judge

CUTS_A_RECORDING: Final = 100
FEWEST_RECORDINGS: Final = 2
POSTERS: Final = 4
GROUPS: Final = 3  # of each poster; each group is a message in a channel of its own
ALERTS_A_GROUP: Final = 6  # few enough that a message shows each of them by its labels
DESCRIPTION: Final = "It has been so since the backup began. " * 150  # six of them fill 36 kB: several pages a body
# Of the database file: it grows at checkpoints only, and one writes at most the 4 MB that the log may hold. So the log
# has been started anew at least once.
GROWTH_BYTES: Final = 5_000_000
ONE_IN: Final = 20  # so many images, the router is started on one
DRAIN_S: Final = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class PowerCuts:
    """What came of it. All but the counts must be empty."""

    cuts: int
    recordings: int
    syncs: int
    checkpoints: int
    rows_checked: int  # acknowledged notifications, over all cuts
    restarts: int
    seconds: float
    lost: Sequence[str]
    corrupt: Sequence[str]
    torn: Sequence[str]
    unshown: Sequence[str]  # what the router did not deliver after it was started on an image, or delivered to nobody

    @property
    def ok(self) -> bool:
        return not (self.lost or self.corrupt or self.torn or self.unshown)

    def __str__(self) -> str:
        rows = {
            "power cuts": self.cuts,
            "recordings of the router": self.recordings,
            "syncs in these": self.syncs,
            "checkpoints in these": self.checkpoints,
            "seconds": round(self.seconds),
            "acknowledged rows checked": self.rows_checked,
            "starts of the router after a cut": self.restarts,
            "databases corrupt": len(self.corrupt),
            "transactions torn": len(self.torn),
            "acknowledged and not delivered afterwards": len(self.unshown),
            "acknowledged rows LOST": len(self.lost),
        }
        lines = [f"  {name:45} {figure}" for name, figure in rows.items()]
        for wrong in (self.lost, self.corrupt, self.torn, self.unshown):
            lines += [f"  ! {one}" for one in wrong[:20]]
        return "\n".join(lines)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """One notification as its sender knows it."""

    body: bytes
    instances: tuple[str, ...]  # labels, one an alert, that a message shows


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording(History):
    """One run of the router, as its disk and its senders saw it."""

    sent: Mapping[str, Sent]  # by the id of the answer; also of earlier recordings


def run(cuts: int, seed: int) -> PowerCuts:
    """Cut the power so often; the same seed cuts in the same ways, of recordings that are never quite the same."""
    started = time.monotonic()
    chance = random.Random(seed)  # noqa: S311 - repeatable, not secret
    tally = _Tally()
    acknowledged, image, sent = frozenset[str](), dict[str, bytes](), dict[str, Sent]()
    recordings = max(FEWEST_RECORDINGS, cuts // CUTS_A_RECORDING)
    with tempfile.TemporaryDirectory(prefix="router-power-") as directory, _slack() as slack:
        for number in range(recordings):
            # Each but the first goes on from what a cut left of the one before.
            place = Path(directory, str(number)).resolve()
            recording = record(place, slack, image, sent, name=f"r{number}")
            share = (cuts + number) // recordings
            for cut in cuts_of(recording, share, chance, acknowledged):
                tally.judged(recording, cut, slack)
                if tally.cuts % ONE_IN == ONE_IN // 2:
                    tally.restarted(recording, cut, slack)
            acknowledged, image, sent = cut.acknowledged, dict(cut.image), dict(recording.sent)
            tally.recorded(recording)
    return tally.report(seconds=time.monotonic() - started)


# -- recording ---------------------------------------------------------------------------------------------------------


def record(place: Path, slack: SlackServer, before: Image, sent: Mapping[str, Sent], *, name: str) -> Recording:
    """Two lives of the router under load, on files that are there before it."""
    place.mkdir()
    _write(place, before)
    log = place / "strace.log"
    load = _Load(name)
    router = _router(place, slack, prefix=tracing(log))
    for _ in range(2):
        with router:
            load.until_grown(router, GROWTH_BYTES)
            router.terminate()
    recording = Recording(
        database=router.database,
        before=before,
        events=events_of(log, router.database),
        sent={**sent, **load.sent},
    )
    log.unlink()
    files = {path.name: path.read_bytes() for path in place.glob(f"{router.database.name}*") if path.suffix != ".lock"}
    assert files == seen_after(recording), "the history does not lead to the files that are there"
    return recording


class _Load:
    """Posters with a few groups each, which grow alert by alert and are then told again and again."""

    def __init__(self, name: str) -> None:
        self.sent: dict[str, Sent] = {}
        self._name = name
        self._told = dict.fromkeys(range(POSTERS * GROUPS), 0)  # how often, by group

    def until_grown(self, router: RouterProcess, growth: int) -> None:
        before = router.database.stat().st_size
        enough = threading.Event()
        posters = [threading.Thread(target=self._post, args=(router, poster, enough)) for poster in range(POSTERS)]
        for poster in posters:
            poster.start()
        try:
            eventually(
                lambda: router.database.stat().st_size - before >= growth,
                timeout_s=60,
                what="checkpoints",
            )
        finally:
            enough.set()
            for poster in posters:
                poster.join()

    def _post(self, router: RouterProcess, poster: int, enough: threading.Event) -> None:
        while not enough.is_set():
            for group in range(poster, POSTERS * GROUPS, POSTERS):
                self._told[group] += 1
                instances = tuple(f"{self._name}g{group}i{i}" for i in range(min(self._told[group], ALERTS_A_GROUP)))
                title = f"Power{self._name}g{group}"
                alerts = [
                    alert(title, team=f"team-{group:03d}", instance=instance, description=DESCRIPTION)
                    for instance in instances
                ]
                sent = Sent(body=body(*alerts, group=title), instances=instances)
                answer = router.post("/webhooks/alertmanager", sent.body)
                assert answer.status == 200, answer
                self.sent[answer.json()["id"]] = sent


def _router(place: Path, slack: SlackServer, *, prefix: Sequence[str] = ()) -> RouterProcess:
    access = SlackAccess(api_url=slack.api_url, token=slack.token)
    return RouterProcess(place, ownership=write_map(place, map_of(POSTERS * GROUPS)), slack=access, prefix=prefix)


@contextmanager
def _slack() -> Iterator[SlackServer]:
    with SlackServer() as slack:
        channels = [*(channel_of(team) for team in range(POSTERS * GROUPS)), CHANNELS[None]]
        slack.emulator.seed(channels=[ChannelSeed(id=channel, name=channel.lower()) for channel in channels])
        yield slack


def _write(place: Path, image: Image) -> None:
    for name, content in image.items():
        (place / name).write_bytes(content)


def _number(text: str) -> int:
    identifier = identifier_of(text)
    assert identifier is not None, text
    return identifier


# -- judging -----------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Tally:
    cuts: int = 0
    recordings: int = 0
    syncs: int = 0
    checkpoints: int = 0
    rows_checked: int = 0
    restarts: int = 0
    lost: list[str] = field(default_factory=list)
    corrupt: list[str] = field(default_factory=list)
    torn: list[str] = field(default_factory=list)
    unshown: list[str] = field(default_factory=list)

    def judged(self, recording: Recording, cut: Cut, slack: SlackServer) -> None:
        self.cuts += 1
        self.rows_checked += len(cut.acknowledged)
        with _restored(cut.image) as place:
            database = place / recording.database.name
            promised = {
                _number(text): recording.sent[text].body if text in recording.sent else None
                for text in cut.acknowledged
            }
            verdict = judge(database, promised)
            self.lost += self._named(cut, verdict.lost)
            self.corrupt += self._named(cut, verdict.corrupt)
            self.torn += self._named(cut, verdict.torn)
            if verdict.sound:
                _, untrue = _shown(database, slack)
                self.unshown += self._named(cut, untrue)

    def restarted(self, recording: Recording, cut: Cut, slack: SlackServer) -> None:
        """Start the router on what was left; all that was promised must then stand in some message."""
        self.restarts += 1
        with _restored(cut.image) as place, _slack() as anew:
            texts, _ = _shown(place / recording.database.name, slack)
            with _router(place, anew) as router:
                router.wait_until(drained, DRAIN_S)
                assert router.terminate() == 0
            texts += [_words(message.content) for message in _messages(anew).values()]
        shown = "\n".join(texts)
        instances = {
            instance for text in cut.acknowledged & recording.sent.keys() for instance in recording.sent[text].instances
        }
        self.unshown += self._named(cut, [f"{one} is in no message" for one in sorted(instances) if one not in shown])

    def recorded(self, recording: Recording) -> None:
        synced = Counter(event.name for event in recording.events if isinstance(event, Sync))
        self.recordings += 1
        self.syncs += synced.total()
        self.checkpoints += synced[recording.database.name]

    def report(self, *, seconds: float) -> PowerCuts:
        return PowerCuts(
            cuts=self.cuts,
            recordings=self.recordings,
            syncs=self.syncs,
            checkpoints=self.checkpoints,
            rows_checked=self.rows_checked,
            restarts=self.restarts,
            seconds=seconds,
            lost=self.lost,
            corrupt=self.corrupt,
            torn=self.torn,
            unshown=self.unshown,
        )

    def _named(self, cut: Cut, wrong: Sequence[str]) -> list[str]:
        return [f"recording {self.recordings + 1}, line {cut.at}: {one}" for one in wrong]


@contextmanager
def _restored(image: Image) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="router-image-") as directory:
        place = Path(directory)
        _write(place, image)
        yield place


def _shown(database: Path, slack: SlackServer) -> tuple[list[str], list[str]]:
    """What Slack shows by the word of the database, and where that is not true."""
    if not database.exists():
        return [], []
    with closing(sqlite3.connect(database)) as connection:
        if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'messages'").fetchall():
            return [], []
        rows = connection.execute("SELECT id, channel, ts, shown FROM messages WHERE kind = 'root' AND shown > 0")
        claims = rows.fetchall()
    texts, untrue = [], []
    messages = _messages(slack)
    for identifier, channel, ts, shown in claims:
        message = messages.get((channel, ts))
        text = None if message is None else _text_of_revision(message, shown)
        if text is None:
            untrue.append(f"message {identifier} is said to show revision {shown}, and Slack never got it")
        else:
            texts.append(text)
    return texts, untrue


def _messages(slack: SlackServer) -> dict[tuple[str, str], Message]:
    return {
        (channel.id, message.ts): message
        for channel in slack.emulator.channels
        for message in slack.messages(channel.id)
    }


def _text_of_revision(message: Message, revision: int) -> str | None:
    for content in message.revisions:
        if content.metadata is not None and content.metadata["event_payload"]["rev"] == revision:
            return _words(content)
    return None


def _words(content: Content) -> str:
    return json.dumps([content.text, content.blocks, content.attachments], ensure_ascii=False)
