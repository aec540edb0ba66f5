"""The design's own messages pass the strictest rules."""

import json
from pathlib import Path

import pytest

from router.preview.workspace import ChannelSeed, Json, UsergroupSeed
from tests.preview.workspace import Client

SAMPLES = sorted((Path(__file__).parent / "samples").glob("*.json"))
PAYMENTS = "C0PAYMENTS1"
FALLBACK = "C0FALLBACK1"


def load(path: Path) -> Json:
    read: Json = json.loads(path.read_text("utf-8"))
    return read


@pytest.fixture
def house(client: Client) -> Client:
    """The channels and groups that the samples speak of, and no links but theirs."""
    client.emulator.seed(
        channels=[ChannelSeed(id=PAYMENTS, name="payments-alerts"), ChannelSeed(id=FALLBACK, name="fallback")],
        usergroups=[
            UsergroupSeed(id="S0PAYMENTS", handle="pay-oncall"),
            UsergroupSeed(id="S0PLATFRM", handle="platform-oncall"),
        ],
    )
    services = ("alertmanager", "grafana", "jobs", "prometheus", "router", "runbooks")
    client.emulator.set_link_hosts(frozenset({*(f"{name}.example.com" for name in services), "example.slack.com"}))
    return client


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.stem)
def test_sample(house: Client, path: Path) -> None:
    """Posted, edited or replied as its file says, without a violation, and stored as it was sent."""
    sample = load(path)
    if "ts" in sample:
        root = house.post(channel=sample["channel"])
        house.ok("chat.update", **{**sample, "ts": root})
    elif "thread_ts" in sample:
        root = house.post(channel=sample["channel"])
        house.ok("chat.postMessage", **{**sample, "thread_ts": root})
    else:
        house.ok("chat.postMessage", **sample)
    stored = house.emulator.messages(sample["channel"])[-1].content
    assert stored.text == sample["text"]
    assert list(stored.blocks) == sample["blocks"]
    assert list(stored.attachments) == sample.get("attachments", [])
    assert stored.metadata == sample["metadata"]
    assert house.emulator.violations == []


def test_all_samples_are_here() -> None:
    """A glob that finds nothing would test nothing."""
    assert len(SAMPLES) == 13
