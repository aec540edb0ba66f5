"""Every way that a call to Slack fails, on posts, on edits and on replies: real processes, real connections.

Each class has a router and a Slack of its own. The first call of a kind surely meets the fault, the others by chance,
so that they also meet it again, and while the router still deals with the last one.
"""

import random
import re
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from router.preview.faults import FaultKind
from tests.acceptance.organisation import CHANNELS, alert, body, channel_of, write_map
from tests.router_process import Json, RouterProcess, drained
from tests.torture.load import Ledger, Watcher, watching
from tests.torture.slack import SlackProcess
from tests.torture.verdict import Verdict, incidents_of, judge, posts_of

TEAMS: Final = 8
# Of the calls after the first.
SHARE: Final = 0.4
BESIDE_EACH_OTHER: Final = 4
# Where Slack refuses the workspace the router waits for five minutes, and for half a minute where it refuses the app.
DRAIN_S: Final = 1_200
POST: Final = "chat.postMessage"
EDIT: Final = "chat.update"
STEPS: Final = ("post", "edit", "reply")
_STATES: Final = ("delivered", "superseded", "dead", "pending")
_FAILED: Final = re.compile(
    r'^router_slack_calls_total\{method="chat\.(?:postMessage|update)",outcome="(?!ok")\w+"\} (\S+)$', re.MULTILINE
)


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultClass:
    """One way of failing."""

    name: str
    fault: Mapping[str, Any]  # JSON for the emulator
    share: float = SHARE  # 0: only the first call
    beside: Sequence[Mapping[str, Any]] = ()  # faults of other calls meanwhile
    replies: int = TEAMS  # the fewest that must be there in the end
    twice: bool = False  # a post may be made twice, and the router says why


@dataclass(frozen=True, slots=True, kw_only=True)
class Met:
    """What came of one class."""

    name: str
    seconds: float
    failed_calls: Mapping[str, int]  # by step
    messages: Mapping[str, int]  # of /api/v1/status
    verdict: Verdict
    failures: Sequence[str]


def _classes() -> list[FaultClass]:
    both = [FaultKind.CLOSE, FaultKind.RESET, FaultKind.HANG, FaultKind.SERVER_ERROR, FaultKind.HTML]
    both += [FaultKind.WRONG_TYPE, FaultKind.FATAL_ERROR, FaultKind.INTERNAL_ERROR]
    lost = [
        FaultClass(name=f"{kind}, {'taken' if taken else 'not taken'}", fault={"kind": kind, "accepted": taken})
        for kind in both
        for taken in (True, False)
    ]
    passing = [
        FaultClass(name=kind.value, fault={"kind": kind, "seconds": 2})
        for kind in (
            FaultKind.HALF_BODY,
            FaultKind.SLOW,
            FaultKind.UNAVAILABLE,
            FaultKind.RATE_LIMITED,
            FaultKind.RATE_LIMITED_BARE,
        )
    ]
    return [
        # Those that take longest first.
        _refusal("team_added_to_org", share=0),
        *lost,
        *passing,
        FaultClass(name="refuse", fault={"kind": FaultKind.REFUSE, "seconds": 1}, share=0.1),
        FaultClass(name="revoke_token", fault={"kind": FaultKind.REVOKE_TOKEN}, share=0),
        FaultClass(name="archive_channel", fault={"kind": FaultKind.ARCHIVE_CHANNEL}, share=0, replies=0),
        FaultClass(
            name="close, taken, and no history to look in",
            fault={"kind": FaultKind.CLOSE},
            beside=[
                {"kind": FaultKind.SLACK_ERROR, "code": "missing_scope", "method": method}
                for method in ("conversations.history", "conversations.replies")
            ],
            twice=True,
        ),
        _refusal("invalid_auth", share=0),
        _refusal("request_timeout"),
        _refusal("service_unavailable"),
        # Replies are refused for good: they are of no use to whoever has the message.
        _refusal("invalid_blocks", replies=0),
        _refusal("restricted_action", replies=0),
        _refusal("message_not_found", replies=0, twice=True),
        _refusal("a_word_that_nobody_documents", replies=0),
    ]


def _refusal(code: str, *, share: float = SHARE, replies: int = TEAMS, twice: bool = False) -> FaultClass:
    return FaultClass(
        name=code, fault={"kind": FaultKind.SLACK_ERROR, "code": code}, share=share, replies=replies, twice=twice
    )


def run(times: int, seed: int) -> list[Met]:
    """Each class so often."""
    with ThreadPoolExecutor(BESIDE_EACH_OTHER, thread_name_prefix="faults") as pool:
        running = [
            pool.submit(_meet, one, random.Random(f"{seed} {number} {one.name}").getrandbits(32))  # noqa: S311
            for number in range(times)
            for one in _classes()
        ]
        return [one.result() for one in running]


def table(classes: Sequence[Met]) -> str:
    """In Markdown, one line a class."""
    columns = [
        *(f"failed calls: {step}" for step in STEPS),
        "seconds",
        *_STATES,
        "posted twice",
        "rules broken",
        "lost",
    ]
    lines = [f"| fault | {' | '.join(columns)} |", f"| --- |{' ---: |' * len(columns)}"]
    for one in classes:
        figures = [
            *(one.failed_calls[step] for step in STEPS),
            round(one.seconds),
            *(one.messages[state] for state in _STATES),
            sum(one.verdict.duplicates.values()),
            len(one.verdict.violations),
            len(one.verdict.lost),
        ]
        lines.append(f"| {one.name} | {' | '.join(map(str, figures))} |")
    whys = [
        f"- {one.name}: {count} times, {why}."
        for one in classes
        for why, count in sorted(one.verdict.duplicates.items())
    ]
    return "\n".join([*lines, *(["", "Posted twice:", "", *whys] if whys else [])])


# -- one class ---------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _House:
    slack: SlackProcess
    router: RouterProcess
    directory: Path
    seed: int
    ledger: Ledger = field(default_factory=Ledger)

    def tell(self, alerts: int) -> None:
        """Each team's group, of so many alerts."""
        for team in range(TEAMS):
            group = f"Tf{team}n0"
            told = [alert(group, team=f"team-{team:03d}", instance=f"{group}i{index}") for index in range(alerts)]
            answer = self.router.post("/webhooks/alertmanager", body(*told, group=group))
            self.ledger.record(f"{group}i{alerts - 1}", answer.status)

    def script(self, one: FaultClass, step: str) -> None:
        """Faults of this step, which begins with another channel: it may refuse everything from then on.

        A reply is the only post to a channel where everything is posted already.
        """
        method = EDIT if step == "edit" else POST
        places = [{"channel": channel_of(team)} for team in range(TEAMS)]
        fault = {**one.fault, "method": method}
        first = [{**fault, **places[STEPS.index(step)], "nth": 1}]
        others = [{**fault, **place, "probability": one.share} for place in places] if one.share else []
        self.slack.script(*first, *others, *one.beside, seed=self.seed)

    def settle(self) -> Json:
        """Until all is delivered. Somebody puts a new token in the place of one that was revoked."""

        def done(status: Json) -> bool:
            if status["slack"]["state"] == "token_revoked":
                self.slack.make_token_live()
            return drained(status)

        return self.router.wait_until(done, DRAIN_S)

    def failed_calls(self) -> int:
        return sum(round(float(count)) for count in _FAILED.findall(self.router.get("/metrics").body.decode()))


def _meet(one: FaultClass, seed: int) -> Met:
    started = time.monotonic()
    with _house(seed) as house, watching([house.router]) as watcher:
        failed: dict[str, int] = {}
        for step in STEPS:
            before = house.failed_calls()
            house.script(one, step)
            if step == "reply":
                write_map(house.directory, _map(handed_over=True))
                assert house.router.post("/-/reload", b"").status == 200
                _await_moves(house)
            else:
                house.tell(1 if step == "post" else 3)
            status = house.settle()
            failed[step] = house.failed_calls() - before
        met = _judged(one, house, status, watcher, failed, seconds=time.monotonic() - started)
    print(f"  {one.name}: {met.seconds:.0f} s, {dict(met.failed_calls)} calls failed", flush=True)
    return met


def _await_moves(house: _House) -> None:
    """The reload is answered before the open incidents are looked at again."""
    house.router.wait_until(lambda status: status["incidents"]["open"] >= 2 * TEAMS or _moved(house), 60)


def _moved(house: _House) -> bool:
    return sum(bool(incident["moved_to"]) for incident in incidents_of(house.router)) == TEAMS


def _judged(
    one: FaultClass,
    house: _House,
    status: Json,
    watcher: Watcher,
    failed: Mapping[str, int],
    *,
    seconds: float,
) -> Met:
    state = house.slack.state()
    verdict = judge(house.ledger, state, incidents_of(house.router), house.router.events, status=status)
    replies = sum(_is_move(message) for channel in state["channels"].values() for message in channel["messages"])
    wrong = [*verdict.failures, *watcher.wrong]
    if replies < one.replies:
        wrong.append(f"{replies} of {one.replies} replies are there")
    if verdict.duplicates and not one.twice:
        wrong.append(f"posted twice: {dict(verdict.duplicates)}: {_twice(state)}")
    if one.fault["kind"] != FaultKind.SLOW:
        wrong += [f"no {step} met the fault" for step, count in failed.items() if not count]
    return Met(
        name=one.name,
        seconds=seconds,
        failed_calls=failed,
        messages=status["messages"],
        verdict=verdict,
        failures=[f"{one.name}: {each}" for each in wrong],
    )


def _is_move(message: Json) -> bool:
    """Whether it is a reply of the last step. What joined is told in the thread too, and was before it."""
    metadata = message["revisions"][0]["metadata"]
    told = metadata is not None and ".reply." in metadata["event_payload"]["delivery_id"]
    return message["thread_ts"] is not None and not told


def _twice(slack: Json) -> list[str]:
    return [name for name, times in posts_of(slack).items() if len(times) > 1]


def _heir_channel(team: int) -> str:
    return f"C0HEIRTEAM{team:03d}"


def _map(*, handed_over: bool = False) -> str:
    """Teams, and heirs that own nothing until they are handed over."""
    entries = ""
    for team in range(TEAMS):
        name, heir = f"team-{team:03d}", f"heir-{team:03d}"
        of_team = f"channel: {{name: {name}, id: {channel_of(team)}}}"
        of_heir = f"channel: {{name: {heir}, id: {_heir_channel(team)}}}"
        gone = f"dissolved: 2026-11-20, successor: {heir}"
        entries += f"  {name}: {{{gone if handed_over else of_team}}}\n  {heir}: {{{of_heir}}}\n"
    return f"version: 1\nteams:\n{entries}fallback:\n  channel: {{name: ops-orphans, id: {CHANNELS[None]}}}\n"


@contextmanager
def _house(seed: int) -> Iterator[_House]:
    with (
        tempfile.TemporaryDirectory(prefix="router-faults-") as directory,
        SlackProcess(rates="strict") as slack,
    ):
        place = Path(directory)
        ids = [of(team) for team in range(TEAMS) for of in (channel_of, _heir_channel)]
        slack.seed_channels([*ids, CHANNELS[None]])
        with RouterProcess(place, ownership=write_map(place, _map()), slack=slack.access) as router:
            yield _House(slack, router, place, seed)
