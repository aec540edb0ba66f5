"""Stopped while Slack is being called, in every way that a process is stopped. The numbers are the rows of the fault
table in docs.
"""

import os
import signal
from pathlib import Path
from typing import Final

import pytest

from router.preview.faults import Fault, FaultKind
from router.preview.workspace import ChannelSeed
from tests.acceptance.organisation import CHANNELS, alert, body, channel_of, map_of, write_map
from tests.programs import eventually
from tests.router_process import RouterProcess, SlackAccess, drained
from tests.slack import SlackServer

GRACE_S: Final = 25
TEAMS: Final = 6
RESTARTS: Final = 20
# The router gives Slack ten seconds to answer; this is within, and long enough to be stopped in it.
SLACK_S: Final = 3.0
SLOW: Final = Fault(kind=FaultKind.SLOW, method="chat.postMessage", seconds=SLACK_S)


@pytest.fixture
def router(tmp_path: Path, slack: SlackServer) -> RouterProcess:
    """Not started yet. Slack takes a post at once and answers late."""
    ids = [*(channel_of(team) for team in range(TEAMS)), CHANNELS[None]]
    slack.emulator.seed(channels=[ChannelSeed(id=id_, name=id_.lower()) for id_ in ids])
    slack.emulator.script(SLOW)
    access = SlackAccess(api_url=slack.api_url, token=slack.token)
    return RouterProcess(tmp_path, ownership=write_map(tmp_path, map_of(TEAMS)), slack=access)


def tell(router: RouterProcess, team: int = 0) -> None:
    name = f"Stop{team}"
    answer = router.post("/webhooks/alertmanager", body(alert(name, team=f"team-{team:03d}"), group=name))
    assert answer.status == 200, answer


def posts(slack: SlackServer) -> list[int]:
    """How many messages each team's channel got."""
    return [len(slack.roots(channel_of(team))) for team in range(TEAMS)]


def under_way(slack: SlackServer) -> bool:
    """Slack has taken the first post, and not answered."""
    return posts(slack)[0] == 1


def test_14_sigterm_during_a_send_records_it(router: RouterProcess, slack: SlackServer) -> None:
    """The call under way is waited for, and its message is known after the next start: an edit, not a second post."""
    with router:
        tell(router)
        slack.wait_for(under_way)
        assert router.terminate(GRACE_S) == 0
        router.start()
        status = router.wait_until(drained)
        assert status["messages"]["delivered"] == 1
    assert posts(slack)[0] == 1


def test_15_impatient_stops_lose_and_double_nothing(router: RouterProcess, slack: SlackServer) -> None:
    """SIGTERM, SIGTERM again and SIGKILL within one call to Slack: the message is found again, and stays one."""
    with router:
        tell(router)
        slack.wait_for(under_way)
        router.send_signal(signal.SIGTERM)
        router.send_signal(signal.SIGTERM)
        eventually(lambda: router.named("stopping"), timeout_s=5, what="a router that is stopping")
        router.kill()
        router.start()
        assert router.wait_until(drained, 60)["messages"]["delivered"] == 1
    assert posts(slack)[0] == 1


def test_16_restart_storm_is_no_storm_of_copies(router: RouterProcess, slack: SlackServer) -> None:
    """Killed twenty times, each time with calls under way or just begun: in the end one message each."""
    with router:
        for team in range(TEAMS):
            tell(router, team)
        slack.wait_for(under_way)
        for _ in range(RESTARTS):
            router.kill()
            router.start()
        slack.emulator.script()
        status = router.wait_until(drained, 90)
        assert status["messages"]["delivered"] == TEAMS
    assert posts(slack) == [1] * TEAMS


def test_17_frozen_during_a_send_goes_on(router: RouterProcess, slack: SlackServer) -> None:
    """A process that is stopped until after Slack's answer, and continued, records it and sends nothing twice."""
    with router:
        tell(router)
        slack.wait_for(under_way)
        router.send_signal(signal.SIGSTOP)
        # Slack answers while nobody listens to it; the socket holds the answer.
        eventually(lambda: slack_waited(slack), timeout_s=SLACK_S + 5, what="Slack's answer")
        os.kill(router.pid, signal.SIGCONT)
        assert router.wait_until(drained, 60)["messages"]["delivered"] == 1
    assert posts(slack)[0] == 1


def slack_waited(slack: SlackServer) -> bool:
    (message,) = slack.roots(channel_of(0))
    return slack.emulator.now() - message.content.at > SLACK_S + 0.5
