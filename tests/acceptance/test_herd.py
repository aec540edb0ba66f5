"""A real Alertmanager whose configuration is reloaded flushes every group that it holds, all at once."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import pytest

from tests.acceptance.organisation import labels
from tests.alertmanager import Alertmanager, configuration
from tests.router_process import INTAKE_TOKEN, RouterProcess

GROUPS: Final = 10_000
LOADED_AT_ONCE: Final = 500
# A second Alertmanager of a pair sends what the first has not delivered by then (--cluster.peer-timeout).
PEER_TIMEOUT_S: Final = 15

pytestmark = [pytest.mark.needs("alertmanager"), pytest.mark.timeout(240)]


def test_a_herd_is_taken_at_the_first_attempt(tmp_path: Path, router: RouterProcess) -> None:
    """10,000 groups, up to 10,000 connections: none is refused, all are accepted before a second member would send."""
    held = configuration(f"{router.url}/webhooks/alertmanager", INTAKE_TOKEN, group_by=["..."], sends=False)
    sent = configuration(
        f"{router.url}/webhooks/alertmanager",
        INTAKE_TOKEN,
        group_by=["..."],
        group_wait="0s",
        group_interval="5m",
        repeat_interval="4h",
    )
    with Alertmanager(tmp_path / "alertmanager", held) as alertmanager:
        teams = ("payments", "ledger", "data-platform", None)
        for first in range(0, GROUPS, LOADED_AT_ONCE):
            alertmanager.fire(
                *(
                    labels("Herd", team=teams[number % len(teams)], instance=f"node-{number:05d}")
                    for number in range(first, first + LOADED_AT_ONCE)
                ),
                starts_at=datetime.now(UTC),
                annotations={"summary": "the whole cluster at once", "description": "x" * 400},
            )
        alertmanager.reconfigure(sent)
        status = router.wait_until(lambda status: status["notifications"]["accepted"] >= GROUPS, 90)
        assert alertmanager.metric("alertmanager_notifications_total", integration="webhook") == GROUPS
        assert alertmanager.metric("alertmanager_notifications_failed_total", integration="webhook") == 0
        assert alertmanager.metric("alertmanager_notification_requests_failed_total", integration="webhook") == 0
    assert status["notifications"]["accepted"] == GROUPS
    assert span_s(router) <= PEER_TIMEOUT_S


def span_s(router: RouterProcess) -> float:
    """From the first accepted notification to the last, by the incidents that they opened."""
    router.wait_until(lambda status: status["notifications"]["waiting"] == 0, 90)
    received = [datetime.fromisoformat(incident["opened_at"]) for incident in router.incidents()]
    assert len(received) == GROUPS
    return (max(received) - min(received)).total_seconds()
