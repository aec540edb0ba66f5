"""What a channel shows of a real Prometheus and Alertmanager: a rule that flaps, a silence, a Prometheus that dies."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import pytest

from router.preview.workspace import ChannelSeed, Message
from tests.acceptance.organisation import CHANNELS, MAP, write_map
from tests.alertmanager import Alertmanager, configuration
from tests.programs import eventually
from tests.prometheus import WATCHDOG, Gauges, Prometheus
from tests.router_process import INTAKE_TOKEN, Json, RouterProcess, SlackAccess
from tests.slack import SlackServer

pytestmark = [pytest.mark.needs("alertmanager", "prometheus"), pytest.mark.timeout(240)]

PAYMENTS: Final = CHANNELS["payments"]
FALLBACK: Final = CHANNELS[None]
# As most maps: nobody wants to read that the heartbeat beats.
HEARTBEATS_DROPPED: Final = """\
rules:
  - {id: watchdog, match: {alertname: Watchdog}, drop: true, reason: a heartbeat}
"""


def rule(name: str, gauge: str) -> dict[str, Any]:
    """An alert of the payments team that fires while the gauge is above 5."""
    return {
        "alert": name,
        "expr": f"{gauge} > 5",
        "labels": {"team": "payments", "severity": "critical"},
        "annotations": {"summary": f"{name} is at {{{{ $value }}}}"},
    }


@dataclass
class Scene:
    """Everything that runs, and what the test turns."""

    gauges: Gauges
    prometheus: Prometheus
    alertmanager: Alertmanager
    router: RouterProcess
    slack: SlackServer

    def incidents(self, name: str) -> list[Json]:
        """Of this alert name, oldest first."""
        return sorted(
            (found for found in self.router.incidents() if found["title"] == name), key=lambda one: one["opened_at"]
        )

    def roots(self, name: str, channel: str = PAYMENTS) -> list[Message]:
        return [one for one in self.slack.emulator.messages(channel) if one.is_root and name in one.text]

    def wait(self, condition: Callable[[], bool], what: str, timeout_s: float = 40) -> None:
        try:
            eventually(condition, timeout_s=timeout_s, what=what)
        except AssertionError as error:
            shown = [message.text for message in self.slack.emulator.messages(PAYMENTS)]
            raise AssertionError(f"{error}\n{shown}\n{self.router.incidents()}\n{self.router.log_tail()}") from error

    def fires(self, name: str, gauge: str) -> None:
        self.gauges.values[gauge] = 9
        self.wait(lambda: [one["state"] for one in self.incidents(name)][-1:] == ["open"], f"{name} fires")

    def ends(self, name: str, gauge: str) -> None:
        self.gauges.values[gauge] = 1
        self.wait(lambda: [one["state"] for one in self.incidents(name)][-1:] == ["resolved"], f"{name} ends")


@pytest.fixture
def scene(tmp_path: Path, slack: SlackServer) -> Iterator[Scene]:
    slack.emulator.seed(channels=[ChannelSeed(id=id_, name=id_.lower()) for id_ in CHANNELS.values()])
    access = SlackAccess(api_url=slack.api_url, token=slack.token)
    router = RouterProcess(tmp_path, ownership=write_map(tmp_path, MAP + HEARTBEATS_DROPPED), slack=access)
    config = configuration(
        f"{router.url}/webhooks/alertmanager", INTAKE_TOKEN, group_interval="1s", repeat_interval="3s"
    )
    with (
        router,
        Gauges(checkout=1, ledger_lag=1, disk=1) as gauges,
        Alertmanager(tmp_path / "alertmanager", config) as alertmanager,
        Prometheus(
            tmp_path / "prometheus",
            target=gauges.target,
            alertmanager_url=alertmanager.url,
            rules=[
                WATCHDOG,
                rule("CheckoutSlow", "checkout"),
                rule("LedgerLag", "ledger_lag"),
                rule("DiskFull", "disk"),
            ],
        ) as prometheus,
    ):
        yield Scene(gauges, prometheus, alertmanager, router, slack)


def test_what_the_channel_shows(scene: Scene) -> None:
    """A flapping rule is told as one problem, a silenced one stays as it was, and the end that a killed Prometheus
    seems to tell is shown as suspect, with the word that the alarm itself is broken."""
    # A rule that flaps: told anew twice, then it is one message that counts.
    for _ in range(4):
        scene.fires("CheckoutSlow", "checkout")
        scene.ends("CheckoutSlow", "checkout")
    scene.fires("CheckoutSlow", "checkout")

    assert [(one["state"], one["flaps"]) for one in scene.incidents("CheckoutSlow")] == [("resolved", 0), ("open", 3)]
    scene.wait(
        lambda: len(scene.roots("CheckoutSlow")) == 2 and "×" in str(scene.roots("CheckoutSlow")[-1].content.blocks[0]),
        "one message that counts",
    )

    # A silence hides it: nothing is told, so nothing changes. Once it is lifted the same incident goes on.
    scene.fires("LedgerLag", "ledger_lag")
    silence = scene.alertmanager.silence(until=datetime.now(UTC) + timedelta(hours=1), alertname="LedgerLag")
    told = scene.incidents("LedgerLag")[0]["repeats"]
    scene.fires("DiskFull", "disk")
    scene.wait(lambda: scene.incidents("DiskFull")[0]["repeats"] >= 2, "others are told on")
    (silenced,) = scene.incidents("LedgerLag")
    assert silenced["state"] == "open"
    assert silenced["repeats"] <= told + 1
    scene.alertmanager.lift(silence)
    scene.wait(lambda: scene.incidents("LedgerLag")[0]["repeats"] > silenced["repeats"], "told again")
    assert [one["state"] for one in scene.incidents("LedgerLag")] == ["open"]
    assert len(scene.roots("LedgerLag")) == 1

    # Prometheus is killed: all that it told lapses, and so does its heartbeat.
    scene.prometheus.kill()
    scene.wait(lambda: any("Watchdog" in one.text for one in scene.slack.emulator.messages(FALLBACK)), "the alarm")
    names = ("CheckoutSlow", "LedgerLag", "DiskFull")
    scene.wait(
        lambda: [scene.incidents(name)[-1]["state"] for name in names] == ["resolved"] * 3, "what seems to be over"
    )
    scene.wait(lambda: all(scene.incidents(name)[-1]["suspect"] for name in names), "is suspect")
    scene.wait(
        lambda: all("RESOLVED" not in str(scene.roots(name)[-1].content.blocks[0]) for name in names),
        "not shown as resolved",
    )
    assert len([one for one in scene.slack.emulator.messages(FALLBACK) if "Watchdog" in one.text]) == 1
    scene.slack.check()
