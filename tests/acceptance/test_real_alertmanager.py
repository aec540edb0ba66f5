"""The whole way with real senders: two Alertmanagers that lost sight of each other, a router stopped and killed."""

from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import pytest

from router.preview.emulator import Emulator
from router.preview.workspace import Message
from tests.acceptance.organisation import CHANNELS, labels
from tests.alertmanager import Alertmanager, configuration
from tests.programs import eventually
from tests.router_process import INTAKE_TOKEN, Json, RouterProcess
from tests.slack import SlackServer

pytestmark = [pytest.mark.needs("alertmanager"), pytest.mark.timeout(180)]

# (owner or None for an orphan, alert name): exactly one message each, and how many of its alerts fire at the end.
EXPECTED: Final = {
    ("payments", "CheckoutSlow"): 2,
    ("payments", "Mixed"): 1,
    ("ledger", "Mixed"): 0,
    ("ledger", "BalanceOff"): 0,
    ("data-platform", "ImportLate"): 0,
    (None, "NobodysDisk"): 1,
    (None, "Mixed"): 0,
}


class Pair:
    """Two Alertmanagers, each told everything with the same times, as Prometheus tells all of them."""

    def __init__(self, *members: Alertmanager) -> None:
        self.members = members

    def fire(self, *alerts: dict[str, str]) -> None:
        now = datetime.now(UTC)
        for member in self.members:
            member.fire(*alerts, starts_at=now, annotations={"summary": "as a person would write it"})

    def resolve(self, *alerts: dict[str, str]) -> None:
        now = datetime.now(UTC)
        for member in self.members:
            member.resolve(*alerts, ends_at=now)


@pytest.fixture
def pair(tmp_path: Path, router: RouterProcess) -> Iterator[Pair]:
    config = configuration(f"{router.url}/webhooks/alertmanager", INTAKE_TOKEN)
    with ExitStack() as stack:
        yield Pair(*(stack.enter_context(Alertmanager(tmp_path / name, config)) for name in ("one", "two")))


def roots(emulator: Emulator, owner: str | None, name: str) -> list[Message]:
    """The messages about one alert name in the owner's channel."""
    return [message for message in emulator.messages(CHANNELS[owner]) if message.is_root and name in message.text]


def incidents(router: RouterProcess) -> dict[tuple[str | None, str], list[tuple[str, int]]]:
    """State and number of firing alerts of all incidents, by owner and alert name."""
    found: dict[tuple[str | None, str], list[tuple[str, int]]] = {}
    for incident in router.incidents():
        key = (incident["owner"], incident["title"])
        found.setdefault(key, []).append((incident["state"], incident["alerts"]["firing"]))
    return found


def decided(router: RouterProcess, more_than: int) -> Json:
    """Wait until that many notifications were decided: Alertmanager repeats, so there are always more."""
    return router.wait_until(lambda status: status["notifications"]["decided"] > more_than, 30)


def test_one_message_per_owner_and_group(router: RouterProcess, pair: Pair, slack: SlackServer) -> None:
    """Firing, joining, repeating and resolving from both members at once, with a clean stop and a crash in between:
    one message per owner and group, and each shows the right state at the end."""
    emulator = slack.emulator
    checkout = [labels("CheckoutSlow", team="payments", instance=f"checkout-{number}") for number in range(3)]
    mixed = {team: labels("Mixed", team=team, instance=f"of-{team}") for team in ("payments", "ledger", None)}
    balance = labels("BalanceOff", team="ledger")
    late = labels("ImportLate", team="data-platform")
    disk = labels("NobodysDisk", team=None)

    pair.fire(checkout[0], *mixed.values(), balance, disk)
    eventually(
        lambda: all(roots(emulator, owner, name) for owner, name in EXPECTED if name != "ImportLate"),
        timeout_s=20,
        what="a message of every first alert",
    )

    pair.fire(checkout[1])  # joins its group while the router runs …
    decided(router, router.status()["notifications"]["decided"] + 4)
    assert router.terminate() == 0
    pair.resolve(balance)  # … and the next things happen while it does not
    pair.fire(late)
    router.start()
    eventually(lambda: roots(emulator, "data-platform", "ImportLate"), timeout_s=20, what="what fired during the stop")

    pair.fire(checkout[2])
    router.kill()
    pair.resolve(mixed["ledger"], mixed[None])
    router.start()
    decided(router, router.status()["notifications"]["decided"] + 4)
    pair.resolve(late, checkout[1])

    expected = {key: [("open" if firing else "resolved", firing)] for key, firing in EXPECTED.items()}
    try:
        eventually(lambda: incidents(router) == expected, timeout_s=30, what="the expected incidents")
    except AssertionError as error:
        raise AssertionError(f"{error}\n{incidents(router)}\n{router.log_tail()}") from error

    def shown() -> bool:
        """Every resolved incident's message says so, and no other."""
        return all(
            ["RESOLVED" in str(message.content.blocks[0]) for message in roots(emulator, owner, name)] == [firing == 0]
            for (owner, name), firing in EXPECTED.items()
        )

    try:
        eventually(shown, timeout_s=60, what="the right header on every message")
    except AssertionError as error:
        seen = {key: [message.content.blocks[0] for message in roots(emulator, *key)] for key in EXPECTED}
        raise AssertionError(f"{error}\n{seen}\n{router.log_tail()}") from error
    everything = [message for channel in CHANNELS.values() for message in emulator.messages(channel) if message.is_root]
    assert len(everything) == len(EXPECTED), [message.text for message in everything]

    status = router.wait_until(lambda status: status["notifications"]["deduplicated"] > 0)
    assert status["incidents"]["open"] == 3
    assert status["messages"]["dead"] == 0
