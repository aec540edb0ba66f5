"""What was acknowledged, against what Slack shows: nothing is lost, and nothing is there twice without a reason."""

import json
import re
from bisect import bisect_left, bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final

from tests.router_process import Json, RouterProcess
from tests.torture.load import Ledger

_INSTANCE: Final = re.compile(r"T[0-9a-z]+i[0-9]+")
# Why a post was made again though an earlier one is there, by the router's own log.
_WHYS: Final[Mapping[str, str]] = {
    "post_cannot_be_looked_for": "the channel's history could not be read",
    "message_gone": "Slack said that the message was gone",
}
_PAGE: Final = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """All but the counts must be empty."""

    lost: Sequence[str] = ()
    in_digests: int = 0  # alerts that only a digest shows
    duplicates: Mapping[str, int] = field(default_factory=dict)  # how many, by why
    wrong: Sequence[str] = ()
    violations: Sequence[str] = ()

    @property
    def failures(self) -> list[str]:
        return [*(f"LOST {one}" for one in self.lost), *self.wrong, *self.violations]


def judge(
    ledger: Ledger,
    slack: Json,
    incidents: Sequence[Json],
    logs: Iterable[Json],
    *,
    status: Json,
    kills: Sequence[float] | None = None,
) -> Verdict:
    """`kills` by the emulator's clock; None where any answer may have been lost."""
    lost, in_digests = _lost(ledger, slack, incidents)
    duplicates, unexplained = _duplicates(posts_of(slack), logs, kills)
    return Verdict(
        lost=lost,
        in_digests=in_digests,
        duplicates=duplicates,
        wrong=[*unexplained, *_miscounted(ledger, status), *_other_answers(ledger)],
        violations=[f"{violation['rule']}: {violation['message']}" for violation in slack["violations"]],
    )


def incidents_of(router: RouterProcess) -> list[Json]:
    found: list[Json] = []
    cursor = ""
    while True:
        page = router.get(f"/api/v1/incidents?state=all&limit={_PAGE}{cursor}").json()
        found += page["incidents"]
        if page["next"] is None:
            return found
        cursor = f"&cursor={page['next']}"


def group_of(instance: str) -> str:
    return instance.rpartition("i")[0]


def posts_of(slack: Json) -> dict[str, list[float]]:
    """When each message was posted. One without metadata, whose blocks Slack refused, is known by what it says."""
    texts = {
        (message["channel"], message["ts"]): json.dumps(message["revisions"][0], ensure_ascii=False)
        for channel in slack["channels"].values()
        for message in channel["messages"]
    }
    posts: dict[str, list[float]] = defaultdict(list)
    for accepted in slack["accepted"]:
        if accepted["method"] != "chat.postMessage":
            continue
        place = (accepted["channel"], accepted["ts"])
        name = accepted["delivery_id"] or f"{place[0]} {sorted(set(_INSTANCE.findall(texts.get(place, ''))))}"
        posts[name].append(accepted["at"])
    return posts


def _lost(ledger: Ledger, slack: Json, incidents: Sequence[Json]) -> tuple[list[str], int]:
    """Acknowledged alerts that nobody sees, and the number of those that only a digest shows."""
    last = {
        (message["channel"], message["ts"]): json.dumps(message["revisions"][-1], ensure_ascii=False)
        for channel in slack["channels"].values()
        for message in channel["messages"]
        if message["thread_ts"] is None  # what a thread tells, its message has to show
    }
    shown = {instance for text in last.values() for instance in _INSTANCE.findall(text)}
    by_title: dict[str, list[Json]] = defaultdict(list)
    for incident in incidents:
        by_title[incident["title"]].append(incident)
    acknowledged = Counter(group_of(instance) for instance in ledger.acknowledged)
    lost, in_digests = [], 0
    for instance in sorted(ledger.acknowledged - shown):
        group = group_of(instance)
        digests = [
            last.get((message["channel"], message["ts"]), "")
            for incident in by_title[group]
            for message in incident["messages"]
            if (message["kind"], message["state"]) == ("digest", "delivered")
        ]
        firing = sum(incident["alerts"]["firing"] for incident in by_title[group])
        if firing >= acknowledged[group] and any(group in text for text in digests):
            in_digests += 1
        else:
            lost.append(instance)
    return lost, in_digests


def _duplicates(
    posts: Mapping[str, Sequence[float]], logs: Iterable[Json], kills: Sequence[float] | None
) -> tuple[Counter[str], list[str]]:
    """Second posts by why, and those without one: an answer was lost between, and the search for it had to fail."""
    whys: dict[str, set[str]] = defaultdict(set)
    for line in logs:
        if (why := _WHYS.get(line.get("event", ""))) is not None:
            whys[str(line["message"])].add(why)
    found: Counter[str] = Counter()
    unexplained = []
    for name, times in posts.items():
        for first, second in pairwise(times):
            why = " and ".join(sorted(whys[_message_of(name)]))
            cut = kills is None or bisect_left(kills, first) < bisect_right(kills, second)
            found[why or "no reason is known"] += 1
            if not why or not cut:
                unexplained.append(f"{name} posted at {first:.3f} and {second:.3f}: {why or 'no reason is known'}")
    return found, unexplained


def _message_of(delivery_id: str) -> str:
    """Its number; that of a reply is followed by the number of the first thing that it tells."""
    *_, kind, number, last = ("", "", *delivery_id.split("."))
    return number if kind == "reply" else last


def _miscounted(ledger: Ledger, status: Json) -> list[str]:
    """What the router says it accepted: each answer 200, and perhaps some whose answer was not heard."""
    accepted = status["notifications"]["accepted"]
    most = ledger.answered + ledger.unanswered + ledger.refused
    if ledger.answered <= accepted <= most:
        return []
    return [f"accepted {accepted}, but {ledger.answered} posts were answered 200 and {most} sent"]


def _other_answers(ledger: Ledger) -> list[str]:
    return [f"{count} posts were answered {status}" for status, count in ledger.other_answers.items()]
