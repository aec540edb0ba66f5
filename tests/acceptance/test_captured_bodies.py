"""Bodies that real Alertmanagers sent, byte for byte."""

import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from tests.acceptance.organisation import CHANNELS
from tests.router_process import RouterProcess

OURS: Final = Path(__file__).parent.parent / "data"


def bodies() -> Iterator[Path]:
    """Those in tests/data, and those of the directory that ROUTER_TEST_BODIES names."""
    for directory in (OURS, *map(Path, filter(None, [os.environ.get("ROUTER_TEST_BODIES")]))):
        for path in sorted(directory.rglob("*.json")):
            if not path.name.endswith(".headers.json") and is_alertmanager(path):
                yield path


def is_alertmanager(path: Path) -> bool:
    content = json.loads(path.read_bytes())
    return isinstance(content, dict) and content.get("version") == "4" and "groupKey" in content


def content_of(body: bytes) -> str:
    """What makes two notifications the same: receiver, group, and each alert's state; not who sent it, nor why."""
    read = json.loads(body)
    alerts = sorted(
        (alert["fingerprint"], alert["status"], alert["startsAt"], alert["endsAt"]) for alert in read["alerts"]
    )
    return hashlib.sha256(json.dumps([read["receiver"], read["groupKey"], alerts]).encode()).hexdigest()


def owner_of(labels: dict[str, str]) -> str | None:
    """The acceptance map knows owners by their label alone."""
    team = labels.get("team", "")
    return team if team in CHANNELS else None


def test_every_body_finds_its_owners(router: RouterProcess) -> None:
    """Answered 200, counted once, and every alert is with the team that its label names or with nobody."""
    paths = list(bodies())
    assert len(paths) >= 5, "no captured bodies in tests/data"
    references: dict[str, tuple[Path, dict[str, Any]]] = {}
    for path in paths:
        answer = router.post("/webhooks/alertmanager", path.read_bytes())
        assert (answer.status, answer.json()["status"]) == (200, "accepted"), path.name
        references[answer.json()["id"]] = (path, json.loads(path.read_bytes()))
    status = router.wait_until(lambda status: status["notifications"]["waiting"] == 0, 60)
    assert status["notifications"]["accepted"] == len(paths)
    assert status["notifications"]["quarantined"] == 0
    different = len({content_of(path.read_bytes()) for path in paths})
    assert status["notifications"]["decided"] >= different

    for reference, (path, body) in references.items():
        told = router.get(f"/api/v1/notifications/{reference}").json()
        if told["state"] == "deduplicated":
            first_path, _ = references[told["duplicate_of"]]
            assert content_of(first_path.read_bytes()) == content_of(path.read_bytes()), path.name
            continue
        assert told["state"] == "decided", path.name
        owners = {alert["fingerprint"]: alert["owner"] for alert in told["alerts"]}
        assert owners == {alert["fingerprint"]: owner_of(alert["labels"]) for alert in body["alerts"]}, path.name

    channels = {CHANNELS[incident["owner"]] for incident in router.incidents()}
    for incident in router.incidents():
        roots = [message["channel"] for message in incident["messages"] if message["kind"] == "root"]
        assert roots in ([CHANNELS[incident["owner"]]], []), incident
    assert CHANNELS[None] in channels
