"""The map is replaced again and again while alerts arrive, under load: by request, by signal, by itself."""

import signal
import threading
from hashlib import sha256
from itertools import count
from pathlib import Path

from tests.acceptance.organisation import CHANNELS, MAP, alert, body, write_map
from tests.programs import eventually
from tests.router_process import RouterProcess

RELOADS = 1_000
WEBHOOK = "/webhooks/alertmanager"


# Under each map `left` and `right` have the owners the other way round: an alert group that two maps decided would
# give both to one team.
def sides_to(left: str, right: str) -> str:
    owners = {"left": left, "right": right}
    rules = [f"  - {{id: {side}, match: {{side: {side}}}, owner: {owner}}}\n" for side, owner in owners.items()]
    return f"{MAP}rules:\n{''.join(rules)}"


GOOD = (sides_to("payments", "ledger"), sides_to("ledger", "payments"))
BAD = sides_to("payments", "nobody-at-all")
OWNERS = {
    sha256(text.encode()).hexdigest(): owners
    for text, owners in zip(GOOD, (("payments", "ledger"), ("ledger", "payments")), strict=True)
}


def sides(number: int, *, status: str = "firing") -> bytes:
    """One notification with an alert for each side, of a group of its own."""
    alerts = []
    for side in ("left", "right"):
        told = alert(f"Reloading{number}", team=None, instance=f"{number}-{side}")
        told["labels"]["side"] = side
        alerts.append(told | {"status": status})
    return body(*alerts, group=f"reload-{number}")


def test_a_thousand_reloads_under_load(tmp_path: Path) -> None:
    """Good, broken and half-written files by turns: each notification is decided by one map whole, none is lost."""
    ownership = write_map(tmp_path, GOOD[0])
    sent: list[str] = []
    stop = threading.Event()

    def send(router: RouterProcess) -> None:
        for number in count():
            if stop.is_set():
                return
            answer = router.post(WEBHOOK, sides(number))
            assert answer.status == 200, answer.body
            sent.append(answer.json()["id"])
            # It ends at once, so that the reloads have few open incidents to move.
            assert router.post(WEBHOOK, sides(number, status="resolved")).status == 200

    with RouterProcess(tmp_path, ownership=ownership) as router:
        sender = threading.Thread(target=send, args=(router,))
        sender.start()
        answers = []
        for number in range(RELOADS):
            good = GOOD[number // 4 % 2]
            text = {1: BAD, 3: good[: len(good) - 20]}.get(number % 4, good)
            ownership.write_text(text)
            answer = router.post("/-/reload", b"", None)
            answers.append(answer.status)
            if number % 4 in (1, 3):
                assert b"ownership.yaml:" in answer.body, answer.body
        stop.set()
        sender.join(timeout=30)
        assert not sender.is_alive()

        assert answers == [200, 500] * (RELOADS // 2)
        status = router.wait_until(lambda status: status["notifications"]["waiting"] == 0, timeout_s=60)
        assert len(sent) >= RELOADS // 20
        assert status["notifications"]["accepted"] == 2 * len(sent)
        assert status["notifications"]["quarantined"] == 0
        deciders = set()
        for identifier in sent:
            decided = router.get(f"/api/v1/notifications/{identifier}").json()
            deciders.add(decided["map_revision"])
            assert tuple(one["owner"] for one in decided["alerts"]) == OWNERS[decided["map_revision"]], decided
        assert deciders == set(OWNERS), "the load did not see both maps"
        metrics = router.get("/metrics").body.decode()
        assert f'router_map_reloads_total{{outcome="rejected"}} {RELOADS / 2}' in metrics
        assert not router.named("loop_failed")


def test_the_router_takes_up_a_changed_file(tmp_path: Path) -> None:
    """Nobody has to think of a reload: the file changes, and an open incident is told to its new owner."""
    ownership = write_map(tmp_path, GOOD[0])
    with RouterProcess(tmp_path, ownership=ownership) as router:
        assert router.post(WEBHOOK, sides(1)).status == 200
        router.wait_until(lambda status: status["incidents"]["open"] == 2)
        ownership.write_text(GOOD[1])
        revision = sha256(GOOD[1].encode()).hexdigest()
        router.wait_until(lambda status: status["map"]["revision"] == revision)

        def moved() -> bool:
            opened = [one for one in router.incidents("open") if one["moved_from"]]
            return {one["owner"] for one in opened} == {"payments", "ledger"}

        eventually(moved, timeout_s=20, what="both incidents with their new owners")
        (handed_over,) = router.incidents("resolved")
        assert [move["owner"] for move in handed_over["moved_to"]] == ["ledger"]
        assert [message["kind"] for message in handed_over["messages"]] == ["root", "moved"]


def test_a_broken_file_is_told_and_the_old_map_decides(tmp_path: Path) -> None:
    """In readiness, status, metrics and the fallback channel; and it is over once the file is repaired."""
    ownership = write_map(tmp_path, GOOD[0])
    with RouterProcess(tmp_path, ownership=ownership) as router:
        ownership.write_text(BAD)
        router.send_signal(signal.SIGHUP)
        status = router.wait_until(lambda status: not status["map"]["ok"])
        assert "ownership.yaml:14:46: OWN101" in status["map"]["error"]
        ready = router.get("/-/ready?verbose")
        assert (ready.status, "OWN101" in ready.body.decode()) == (200, True)
        assert router.get("/-/ready").body == b"ready\n"
        assert "router_map_last_reload_successful 0.0" in router.get("/metrics").body.decode()

        def page() -> str:
            return router.get(f"/preview/channels/{CHANNELS[None]}").body.decode()

        eventually(lambda: "MAP REFUSED" in page(), timeout_s=20, what="a line in the fallback channel")
        assert router.post(WEBHOOK, sides(1)).status == 200
        router.wait_until(lambda status: status["incidents"]["open"] == 2)
        ownership.write_text(GOOD[1])
        router.wait_until(lambda status: status["map"]["ok"])
        eventually(lambda: "OVER: MAP REFUSED" in page(), timeout_s=20, what="that it is over")
