"""The torture's checker sees what it is there to see."""

from collections.abc import Mapping, Sequence

import pytest

from tests.router_process import Json
from tests.torture.load import Ledger
from tests.torture.verdict import Verdict, judge

Post = tuple[str, float]


def emulator(*texts: str, posts: Sequence[Post] = (), digest: str = "", thread_ts: str | None = None) -> Json:
    """The state of an emulator that shows these messages."""
    shown = [*texts, digest]
    messages = [
        {"channel": "C1", "ts": f"{ts}.0", "thread_ts": thread_ts, "revisions": [{"text": "older"}, {"text": text}]}
        for ts, text in enumerate(shown, start=1)
    ]
    accepted = [
        {"method": "chat.postMessage", "delivery_id": delivery, "channel": "C1", "ts": "0.0", "at": at}
        for delivery, at in posts
    ]
    return {"channels": {"C1": {"messages": messages}}, "accepted": accepted, "violations": []}


def incident(title: str, *, firing: int, state: str = "delivered") -> Json:
    """One that only a digest shows: the second message of the emulator."""
    messages = [{"channel": "C1", "ts": "2.0", "kind": "digest", "state": state}]
    return {"title": title, "alerts": {"firing": firing}, "messages": messages}


def verdict(
    slack: Json,
    *,
    acknowledged: Sequence[str] = (),
    incidents: Sequence[Json] = (),
    logs: Sequence[Mapping[str, object]] = (),
    kills: Sequence[float] = (),
    accepted: int | None = None,
) -> Verdict:
    ledger = Ledger(acknowledged=set(acknowledged), answered=len(acknowledged), unanswered=1)
    status = {"notifications": {"accepted": len(acknowledged) if accepted is None else accepted}}
    return judge(ledger, slack, incidents, [dict(line) for line in logs], status=status, kills=kills)


@pytest.mark.parametrize(
    ("acknowledged", "lost"),
    [
        pytest.param(["Tg1i0", "Tg1i1"], [], id="all are shown"),
        pytest.param(["Tg1i0", "Tg2i0"], ["Tg2i0"], id="one is in no message"),
        pytest.param(["Tg1i10"], ["Tg1i10"], id="one whose name begins as that of another"),
        pytest.param(["older"], ["older"], id="what an edit removed is not shown"),
    ],
)
def test_what_no_message_shows_is_lost(acknowledged: list[str], lost: list[str]) -> None:
    """An acknowledged alert must stand in the last state of some message."""
    assert verdict(emulator("Tg1i0 fires and Tg1i1"), acknowledged=acknowledged).lost == lost


def test_what_only_a_reply_tells_is_lost() -> None:
    """A thread tells what happened, and its message has to show what is so."""
    assert verdict(emulator("Tg1i0 joined", thread_ts="0.5"), acknowledged=["Tg1i0"]).lost == ["Tg1i0"]


@pytest.mark.parametrize(
    ("incidents", "text", "lost"),
    [
        pytest.param([incident("Tg1", firing=2)], "Tg1: 2 alerts", 0, id="delivered, and names it"),
        pytest.param([incident("Tg1", firing=2, state="pending")], "Tg1: 2 alerts", 2, id="not delivered"),
        pytest.param([incident("Tg1", firing=2)], "others", 2, id="does not name it"),
        pytest.param([incident("Tg1", firing=1)], "Tg1: 1 alert", 2, id="its incident knows fewer alerts"),
        pytest.param([], "Tg1: 2 alerts", 2, id="no incident"),
    ],
)
def test_a_digest_shows_an_incident_by_name(incidents: list[Json], text: str, lost: int) -> None:
    """Where a digest stands for an incident, the incident counts each acknowledged alert."""
    found = verdict(emulator("another", digest=text), acknowledged=["Tg1i0", "Tg1i1"], incidents=incidents)
    assert (len(found.lost), found.in_digests) == (lost, 2 - lost)


UNREADABLE = {"event": "post_cannot_be_looked_for", "message": 7}


@pytest.mark.parametrize(
    ("posts", "logs", "kills", "wrong"),
    [
        pytest.param([10.0], [], [], 0, id="posted once"),
        pytest.param([10.0, 31.0], [UNREADABLE], [10.2], 0, id="a kill between, and it could not be looked for"),
        pytest.param([10.0, 31.0], [], [10.2], 1, id="a kill between, and nothing kept it from being found"),
        pytest.param([10.0, 31.0], [UNREADABLE], [], 1, id="no kill"),
        pytest.param([10.0, 31.0], [UNREADABLE], [9.0, 32.0], 1, id="kills before and after both, none between"),
        pytest.param([10.0, 31.0, 52.0], [UNREADABLE], [10.2], 1, id="the third has no kill of its own"),
        pytest.param([10.0, 31.0], [UNREADABLE | {"message": 8}], [10.2], 1, id="another message was unreadable"),
    ],
)
def test_a_duplicate_needs_a_reason(
    posts: list[float], logs: list[Mapping[str, object]], kills: list[float], wrong: int
) -> None:
    """Each further post of one message follows a kill, and a search that could not be made."""
    for name in ("incident.root.7", "incident.1.reply.7.3"):
        found = verdict(emulator(posts=[(name, at) for at in posts]), logs=logs, kills=kills)
        assert len(found.wrong) == wrong
        assert sum(found.duplicates.values()) == len(posts) - 1


@pytest.mark.parametrize(
    ("accepted", "wrong"),
    [
        pytest.param(0, 1, id="fewer than were answered"),
        pytest.param(1, 0, id="as many"),
        pytest.param(2, 0, id="and one whose answer was cut off"),
        pytest.param(3, 1, id="more than were sent"),
    ],
)
def test_what_was_accepted_is_counted(accepted: int, wrong: int) -> None:
    """The router's count lies between what was answered and what was sent."""
    assert len(verdict(emulator("Tg1i0"), acknowledged=["Tg1i0"], accepted=accepted).wrong) == wrong
