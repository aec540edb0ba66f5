"""From webhook to Slack call: a new notification every now and then, while nothing else happens."""

import threading
import time
from pathlib import Path

from tests.bench import servers
from tests.bench.bodies import alert, notification
from tests.bench.report import Report
from tests.bench.servers import WEBHOOK
from tests.programs import eventually

NOTIFICATIONS = 200
# Under the 4 posts a second that the router allows itself for one workspace: faster, and its pacing would be measured.
PER_S = 3.5
CHANNELS = 100


def run(directory: Path, report: Report) -> None:
    """Each notification is a group of its own; the channels take turns, so none is posted to twice in a second."""
    pause = threading.Event()
    with servers.sink() as sink, servers.router(directory, sink.slack, teams=CHANNELS, core=None) as router:
        sent_at: dict[str, float] = {}
        took_ms: list[float] = []
        print(f"  {NOTIFICATIONS} notifications at {PER_S}/s …", flush=True)
        started = time.monotonic()
        for number in range(NOTIFICATIONS):
            name = f"Latency{number:04d}"
            body = notification(
                [alert(team=f"team-{number % CHANNELS:03d}", instance=f"idle-{number:04d}", name=name)], group=name
            )
            pause.wait(max(0.0, started + number / PER_S - time.monotonic()))
            sent_at[name] = time.monotonic()
            answer = router.post(WEBHOOK, body)
            assert answer.status == 200, answer.body
            took_ms.append(answer.took_s * 1e3)
        posted = eventually(
            lambda: calls if len(calls := posts(sink)) >= NOTIFICATIONS else None, timeout_s=30, what="every post"
        )
    to_slack = sorted((min(posted[name]) - at) * 1e3 for name, at in sent_at.items())
    took_ms.sort()
    print(
        f"  acknowledged: p50 {at_rank(took_ms, 50):.1f} ms, p99 {at_rank(took_ms, 99):.1f} ms, a new connection each"
    )
    report.goal("webhook to Slack call, idle, p50", at_rank(to_slack, 50), at_most=10, unit=" ms")
    report.goal("webhook to Slack call, idle, p99", at_rank(to_slack, 99), at_most=50, unit=" ms")


def posts(sink: servers.Sink) -> dict[str, list[float]]:
    """When each alert's message was posted, by alert name."""
    found: dict[str, list[float]] = {}
    for call in sink.calls():
        if call.method == "chat.postMessage":
            at = call.text.index("Latency")
            found.setdefault(call.text[at : at + len("Latency0000")], []).append(call.at)
    return found


def at_rank(ordered: list[float], percent: int) -> float:
    return ordered[min(len(ordered) - 1, len(ordered) * percent // 100)]
