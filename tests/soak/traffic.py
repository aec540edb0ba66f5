"""What the senders of a long run say: groups that fire, repeat, change and resolve over and over, in ever new pods."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from tests.acceptance.organisation import fingerprint, map_of

ALERTS: Final = 100  # of a notification
ROUNDS: Final = 10  # of an episode
# Of a group; then another one takes its place. What a group was told in the last hour is read with each of its
# notifications: one that opened an incident every half a minute would cost more each time, until the hour is over.
EPISODES: Final = 2
TEAMS: Final = 50
# One group in so many belongs to nobody, and one to whom the expression of a rule says.
ORPHANED: Final = 10
BY_RULE: Final = 5
MEMBERS: Final = ("http://alertmanager-0.example.com:9093", "http://alertmanager-1.example.com:9093")
REPEATED: Final = "repeat interval elapsed"

# No entry of these fits anything: they are what a value that was never seen is tried against.
RULES: Final = "rules:\n" + "".join(
    f"  - {{id: rule-{number}, match: ['pod=~\"{pattern}\"'], owner: team-{number:03d}}}\n"
    for number, pattern in enumerate(["soak-by-rule-.+", *(f"(api|web)-{number}-.*" for number in range(1, TEAMS))])
)


# Nobody is told of it elsewhere: how many states are wanted is known from what was said.
CALM: Final = "defaults: {escalate: {if_unacked: none, if_repeats: none}}\n"


def soaked_map() -> str:
    return map_of(TEAMS) + CALM + RULES


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """One notification."""

    body: dict[str, Any]
    told_before: bool = False  # by the other member of the pair: it is deduplicated
    opens: bool = False  # an incident
    ends: bool = False  # it


def episodes(group: int) -> Iterator[Said]:
    """All that is ever said about a group, and about those that take its place."""
    number = 0
    while True:
        yield from _episode(group, number)
        number += 1


def _episode(group: int, number: int) -> Iterator[Said]:
    """From the first firing alert until none fires. In each round other alerts resolve, fire again and change words."""
    labels = [_labels(group, number, index) for index in range(ALERTS)]
    began = _instant(number, 0)
    since = [began] * ALERTS
    yield Said(body=_body(labels, since, {}, words=0), opens=True)
    for round_ in range(ROUNDS):
        share = range(round_, ALERTS, ROUNDS)
        some = dict.fromkeys(share, _instant(number, 2 * round_ + 1))
        told = _body(labels, since, some, words=round_)
        yield Said(body=told)
        yield Said(body=told | {"externalURL": MEMBERS[1]}, told_before=True)
        yield Said(body=told | {"notification_reason": REPEATED})
        for index in share:
            since[index] = _instant(number, 2 * round_ + 2)
        yield Said(body=_body(labels, since, {}, words=round_ + 1))
    everything = dict.fromkeys(range(ALERTS), _instant(number, 2 * ROUNDS + 1))
    yield Said(body=_body(labels, since, everything, words=ROUNDS), ends=True)


def _labels(group: int, number: int, index: int) -> dict[str, str]:
    """About those of an alert in Kubernetes; the pods of an episode were never seen before."""
    kind = "by-rule" if group % BY_RULE == 1 else "group"
    of = {
        "alertname": f"Soak{group:04d}",
        "cluster": "prod-tokyo-1",
        "container": "app",
        "instance": f"10.0.{index}.{number % 250}:8080",
        "namespace": f"soak-{group:04d}-{number // EPISODES:04d}",
        "pod": f"soak-{kind}-{group:04d}-{number:06d}-{index:03d}",
        "prometheus": "monitoring/k8s",
        "severity": ("critical", "warning", "info")[group % 3],
    }
    return of if group % ORPHANED == 0 or kind == "by-rule" else of | {"team": f"team-{group % TEAMS:03d}"}


def _body(labels: list[dict[str, str]], since: list[str], ended: dict[int, str], *, words: int) -> dict[str, Any]:
    alerts = [
        {
            "status": "resolved" if index in ended else "firing",
            "labels": of,
            "annotations": {
                "summary": f"{of['pod']} is not as it should be",
                "description": f"Seen {words} times. The error rates of 5 minutes and 1 hour are above the threshold.",
            },
            "startsAt": since[index],
            "endsAt": ended.get(index, "0001-01-01T00:00:00Z"),
            "generatorURL": "http://prometheus.example.com:9090/graph?g0.expr=soak&g0.tab=1",
            "fingerprint": fingerprint(of),
        }
        for index, of in enumerate(labels)
    ]
    shared = {name: labels[0][name] for name in ("alertname", "namespace")}
    return {
        "version": "4",
        "receiver": "router",
        "status": "resolved" if len(ended) == ALERTS else "firing",
        "groupKey": f'{{}}:{{alertname="{shared["alertname"]}", namespace="{shared["namespace"]}"}}',
        "groupLabels": shared,
        "commonLabels": {},
        "commonAnnotations": {},
        "externalURL": MEMBERS[0],
        "truncatedAlerts": 0,
        "notification_reason": "first notification",
        "alerts": alerts,
    }


def _instant(episode: int, minute: int) -> str:
    """Of a calendar of its own: an episode takes an hour."""
    day, hour = divmod(episode, 24)
    month, day = divmod(day, 28)
    return f"2026-{month % 12 + 1:02d}-{day + 1:02d}T{hour:02d}:{minute:02d}:00Z"
