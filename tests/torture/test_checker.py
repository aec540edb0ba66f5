"""The torture's checker sees what it is there to see."""

from collections.abc import Sequence

import pytest

from tests.router_process import Json
from tests.torture.__main__ import Ledger, check, unexplained


def emulator(*texts: str, posts: Sequence[tuple[str, float]] = ()) -> Json:
    """The state of an emulator that shows these messages."""
    messages = [{"thread_ts": None, "revisions": [{"text": "older"}, {"text": text}]} for text in texts]
    accepted = [{"method": "chat.postMessage", "delivery_id": delivery, "at": at} for delivery, at in posts]
    return {"channels": {"C1": {"messages": messages}}, "accepted": accepted, "violations": []}


@pytest.mark.parametrize(
    ("acknowledged", "lost"),
    [
        pytest.param({"g1i0", "g1i1"}, [], id="all are shown"),
        pytest.param({"g1i0", "g2i0"}, ["g2i0"], id="one is in no message"),
        pytest.param({"older"}, ["older"], id="what an edit removed is not shown"),
    ],
)
def test_what_no_message_shows_is_lost(acknowledged: set[str], lost: list[str]) -> None:
    """An acknowledged alert must stand in the last state of some message."""
    findings = check(Ledger(acknowledged=acknowledged), emulator("g1i0 fires", "g1i1 fires"), [])
    assert findings.lost == lost


@pytest.mark.parametrize(
    ("posts", "kills", "found"),
    [
        pytest.param([10.0], [], 0, id="posted once"),
        pytest.param([10.0, 31.0], [10.2], 0, id="in flight at a kill, posted again after the lease"),
        pytest.param([10.0, 31.0], [], 1, id="twice without a kill"),
        pytest.param([10.0, 31.0], [9.0 - 1, 32.0], 1, id="kills before and after both, none between"),
        pytest.param([10.0, 61.0], [40.0], 1, id="the kill came long after the post was answered"),
        pytest.param([10.0, 31.0, 52.0], [10.2], 1, id="the third has no kill of its own"),
    ],
)
def test_a_duplicate_needs_a_kill(posts: list[float], kills: list[float], found: int) -> None:
    """Each further post of one message follows a kill while the post before was under way."""
    assert len(unexplained({"delivery": posts}, kills)) == found


def test_no_kill_explains_more_than_was_in_flight() -> None:
    """A router that sends everything again after a crash is found out, though each copy has its kill."""
    posts = {f"delivery-{number}": [10.0, 31.0] for number in range(50)}
    assert unexplained(posts, [10.2])
