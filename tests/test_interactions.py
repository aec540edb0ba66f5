"""`/slack/interactions`: what Slack signed is done once, and nothing else does anything; never a 5xx for what comes."""

import asyncio
import hmac
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import httpx2
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.applications import Starlette
from structlog.testing import capture_logs

from router.core.actions import Action, ActionKind
from router.core.errors import StoreUnavailable
from router.interactions import LARGEST_BODY, SIGNATURES_KEPT, Interactions, Signatures, suggestions
from router.store import actions
from router.store.actions import Appended
from router.telemetry import INTERACTIONS, Metrics
from tests.house import Clock, House, alert, house
from tests.operators import ELSEWHERE, Operator
from tests.ownership.maps import HEAD, a_map
from tests.slack import SlackServer

SECRET = "signing-secret-of-the-tests"
PATH = "/slack/interactions"

Json = dict[str, Any]  # Any: what Slack sends


class Slack:
    """Signs and sends as Slack does, from elsewhere."""

    def __init__(self, opened: House, path: Path) -> None:
        self.house = opened
        self.operator = Operator(opened, path / "ownership.yaml", signing_secret=SECRET)
        self.incident = ""

    async def open(self) -> None:
        await self.house.tell(alert("A"))
        while (await self.house.dispatcher.step()).more:
            pass
        (found,) = (await self.operator.json("/api/v1/incidents"))["incidents"]
        self.incident = found["id"]

    def signed(self, body: bytes, *, secret: str = SECRET, ago: timedelta = timedelta()) -> dict[str, str]:
        at = int((self.house.clock() - ago).timestamp())
        digest = hmac.new(secret.encode(), b"v0:%d:" % at + body, sha256).hexdigest()
        return {
            "X-Slack-Request-Timestamp": str(at),
            "X-Slack-Signature": f"v0={digest}",
            "Content-Type": "application/x-www-form-urlencoded",
        }

    async def send(
        self, body: bytes, headers: Mapping[str, str] | Sequence[tuple[bytes, bytes]] | None = None
    ) -> httpx2.Response:
        given = self.signed(body) if headers is None else headers
        return await self.operator.ask(PATH, method="POST", body=body, headers=given, peer=ELSEWHERE)

    async def press(self, *, number: int = 1, **fields: Any) -> httpx2.Response:  # Any: as Json
        return await self.send(form(pressed(self.incident, number=number, **fields)))

    async def stored(self) -> list[Action]:
        return [one.action for one in await self.house.store.read(partial(actions.waiting, limit=100))]

    def counted(self) -> dict[str, float]:
        """Of each outcome how often, without those that never were."""
        registry = self.house.metrics.registry
        counts = {
            name: registry.get_sample_value("router_interactions_total", {"outcome": name}) for name in INTERACTIONS
        }
        return {name: count for name, count in counts.items() if count}


def pressed(incident: str, *, number: int = 1, action: str = "ack", user: str = "U0ALICE", **fields: Any) -> Json:
    """A press as Slack tells it; `fields` are those of the pressed element."""
    return {
        "type": "block_actions",
        "user": {"id": user, "username": "alice", "name": "alice", "team_id": "T0"},
        "api_app_id": "A0",
        "container": {"type": "message", "message_ts": "1763721780.000100", "channel_id": "C0PAYALERT"},
        "response_url": "http://127.0.0.1:9/never-called",
        "actions": [
            {
                "type": "button",
                "action_id": action,
                "block_id": f"acts:{incident}:0f1e2d3c",
                "action_ts": f"1763721790.{number:06}",
                **fields,
            }
        ],
    }


def picked(value: str) -> Json:
    return {"type": "external_select", "selected_option": {"text": {"type": "plain_text", "text": "x"}, "value": value}}


def form(payload: object) -> bytes:
    return urlencode({"payload": json.dumps(payload)}).encode()


@asynccontextmanager
async def slack_of(path: Path) -> AsyncIterator[Slack]:
    clock = Clock()
    with SlackServer(clock=clock.monotonic) as server:
        async with house(path, server, clock=clock) as opened:
            sender = Slack(opened, path)
            await sender.open()
            yield sender


def tell(path: Path, story: Callable[[Slack], Awaitable[None]]) -> None:
    async def live() -> None:
        async with slack_of(path) as slack:
            await story(slack)

    asyncio.run(live())


# -- what is pressed ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "kind", "team", "lasts"),
    [
        pytest.param({"action": "ack"}, ActionKind.ACK, None, None, id="acknowledge"),
        pytest.param({"action": "disown", **picked("ledger")}, ActionKind.DISOWN, "ledger", None, id="not ours"),
        pytest.param({"action": "snooze", **picked("4h")}, ActionKind.SNOOZE, None, timedelta(hours=4), id="snooze"),
        pytest.param({"action": "snooze", **picked("wake")}, ActionKind.WAKE, None, None, id="end the snooze"),
    ],
)
def test_press_is_stored(
    tmp_path: Path, fields: Json, kind: ActionKind, team: str | None, lasts: timedelta | None
) -> None:
    """It is on disk when Slack is answered, with who pressed; those who decide are woken."""

    async def story(slack: Slack) -> None:
        slack.house.arrived.clear()
        answer = await slack.press(**fields)
        assert (answer.status_code, answer.content) == (200, b"")
        (action,) = await slack.stored()
        assert action == Action(
            incident=slack.incident, kind=kind, by="U0ALICE", at=slack.house.clock(), team=team, lasts=lasts
        )
        assert slack.counted() == {"stored": 1}
        assert slack.house.arrived.is_set()

    tell(tmp_path, story)


def test_same_press_counts_once(tmp_path: Path) -> None:
    """Sent again with another signature it changes nothing; another press is another action."""

    async def story(slack: Slack) -> None:
        assert (await slack.press()).status_code == 200
        slack.house.clock.advance(2)
        assert (await slack.press()).status_code == 200
        assert len(await slack.stored()) == 1
        assert (await slack.press(number=2)).status_code == 200
        assert len(await slack.stored()) == 2
        assert slack.counted() == {"stored": 2, "known": 1}

    tell(tmp_path, story)


@pytest.mark.parametrize(
    "payload",
    [
        pytest.param(pressed("ID", action="open_runbook", url="https://runbooks.example.com"), id="a link"),
        pytest.param(pressed("ID", action="reassign"), id="unknown action"),
        pytest.param(pressed("ID", user="alice"), id="a name for a user"),
        pytest.param(pressed("ID", user="U0ALICE\n"), id="a user with a line end"),
        pytest.param(pressed("ID", action="disown"), id="no team"),
        pytest.param(pressed("ID", action="disown", **picked("a b")), id="no name of a team"),
        pytest.param(pressed("ID", action="snooze"), id="no time"),
        pytest.param(pressed("ID", action="snooze", **picked("1y")), id="no duration"),
        pytest.param(pressed("ID", action="snooze", **picked("8d")), id="too long"),
        pytest.param(pressed("../../etc"), id="no incident's id"),
        pytest.param({**pressed("ID"), "actions": []}, id="no action"),
        pytest.param({**pressed("ID"), "actions": {"0": 1}}, id="actions are no list"),
        pytest.param({**pressed("ID"), "actions": ["ack"]}, id="an action is no object"),
        pytest.param({**pressed("ID"), "user": "U0ALICE"}, id="user is no object"),
        pytest.param({**pressed("ID"), "type": "view_submission"}, id="another type"),
        pytest.param({"type": ["block_actions"]}, id="type is no text"),
        pytest.param([], id="no object"),
        pytest.param("text", id="a text"),
        pytest.param(None, id="null"),
    ],
)
def test_what_is_none_of_ours(tmp_path: Path, payload: object) -> None:
    """Signed, and nothing that this router knows: taken without a word, because Slack would show an error."""

    async def story(slack: Slack) -> None:
        body = form(json.loads(json.dumps(payload).replace("ID", slack.incident)))
        with capture_logs() as logs:
            answer = await slack.send(body)
        assert (answer.status_code, answer.content) == (200, b"")
        assert await slack.stored() == []
        assert slack.counted() == {"ignored": 1}
        assert [one["event"] for one in logs] == ["interaction_ignored"]

    tell(tmp_path, story)


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"payload=", id="empty payload"),
        pytest.param(b"payload=%7B", id="not JSON"),
        pytest.param(b"payload=%ff%fe", id="not UTF-8"),
        pytest.param('payload={"type": "…"}'.encode(), id="not ASCII"),
        pytest.param(b"payload={}&payload={}", id="two payloads"),
        pytest.param(b"a=1&" * 50, id="many fields"),
        pytest.param(b"payload=" + b"[" * 60_000, id="deep JSON"),
        pytest.param(b"payload=" + b'{"a":' * 10_000, id="deep objects"),
        pytest.param(b"\xff\x00\xfe", id="bytes"),
        pytest.param(b"payload=" + b"9" * 60_000, id="a long number"),
        pytest.param(b'payload={"type":NaN}', id="not a number"),
        pytest.param(b'payload={"type":"\\ud800"}', id="half a character"),
    ],
)
def test_signed_garbage(tmp_path: Path, body: bytes) -> None:
    """Whoever has the secret may send anything: it is ignored."""

    async def story(slack: Slack) -> None:
        assert (await slack.send(body)).status_code == 200
        assert slack.counted() == {"ignored": 1}

    tell(tmp_path, story)


def test_raw_letters(tmp_path: Path) -> None:
    """Letters of any script need not be escaped in the JSON: presses come with messages, lists with what was typed."""

    async def story(slack: Slack) -> None:
        press = {**pressed(slack.incident), "message": {"text": "決済 🔥 + & é"}}
        assert (await slack.send(urlencode({"payload": json.dumps(press, ensure_ascii=False)}).encode())).content == b""
        asked = {"type": "block_suggestion", "action_id": "disown", "value": "決済ledger"}
        answer = await slack.send(urlencode({"payload": json.dumps(asked, ensure_ascii=False)}).encode())
        assert answer.json() == {"options": []}
        assert slack.counted() == {"stored": 1, "suggested": 1}

    tell(tmp_path, story)


def test_unknown_incident(tmp_path: Path) -> None:
    """Its message outlived it: a log line, and no error for whoever pressed."""

    async def story(slack: Slack) -> None:
        answer = await slack.send(form(pressed("0sa3rpvyr3bg3-1")))
        assert (answer.status_code, answer.content) == (200, b"")
        assert await slack.stored() == []
        assert slack.counted() == {"unknown_incident": 1}

    tell(tmp_path, story)


class HangingActions:
    """Takes nothing in time."""

    def __init__(self, error: Exception | None) -> None:
        self._error = error

    async def take(self, _action: Action, *, press: str | None = None) -> Appended | None:
        if self._error is not None:
            raise self._error
        await asyncio.Event().wait()
        return None


@pytest.mark.parametrize("error", [pytest.param(None, id="hangs"), pytest.param(StoreUnavailable("full"), id="full")])
def test_what_cannot_be_stored_is_said_in_time(error: Exception | None) -> None:
    """Slack shows an error to whoever pressed, before its own 3 s are over."""
    clock = Clock()
    interactions = Interactions(
        actions=HangingActions(error),  # type: ignore[arg-type]  # the only method that is called
        ownership=lambda: a_map(),
        clock=clock,
        metrics=Metrics(),
        signing_secret=SECRET,
    )
    body = form(pressed("0sa3rpvyr3bg3-1"))
    at = int(clock().timestamp())
    digest = hmac.new(SECRET.encode(), b"v0:%d:" % at + body, sha256).hexdigest()
    headers = {"X-Slack-Request-Timestamp": str(at), "X-Slack-Signature": f"v0={digest}"}

    async def send() -> httpx2.Response:
        transport = httpx2.ASGITransport(app=Starlette(routes=interactions.routes()))
        async with asyncio.timeout(2.9), httpx2.AsyncClient(transport=transport, base_url="http://router") as client:
            return await client.post(PATH, content=body, headers=headers)

    assert asyncio.run(send()).status_code == 503


# -- who sends ---------------------------------------------------------------------------------------------------------


def lines(**headers: bytes) -> list[tuple[bytes, bytes]]:
    return [(name.replace("_", "-").encode(), value) for name, value in headers.items()]


def test_old_and_early_requests(tmp_path: Path) -> None:
    """Five minutes to either side, and not a second more."""

    async def story(slack: Slack) -> None:
        for number, (seconds, status) in enumerate([(300, 200), (301, 401), (-300, 200), (-301, 401)]):
            body = form(pressed(slack.incident, number=number))
            answer = await slack.send(body, slack.signed(body, ago=timedelta(seconds=seconds)))
            assert answer.status_code == status, seconds
        assert slack.counted() == {"stored": 2, "unsigned": 2}

    tell(tmp_path, story)


def test_replayed_requests(tmp_path: Path) -> None:
    """The same bytes with the same signature are refused for as long as that would be good."""

    async def story(slack: Slack) -> None:
        body = form(pressed(slack.incident))
        headers = slack.signed(body, ago=timedelta(seconds=-300))
        assert (await slack.send(body, headers)).status_code == 200
        for _ in range(3):
            assert (await slack.send(body, headers)).status_code == 401
            slack.house.clock.advance(200)
        assert slack.counted() == {"stored": 1, "replayed": 3}
        slack.house.clock.advance(1)
        assert (await slack.send(body, headers)).status_code == 401
        assert slack.counted()["unsigned"] == 1

    tell(tmp_path, story)


def test_wrong_signatures(tmp_path: Path) -> None:
    """401, nothing is stored, and one line a minute in the log, however many come."""

    async def story(slack: Slack) -> None:
        body = form(pressed(slack.incident))
        good = slack.signed(body)
        at, signature = good["X-Slack-Request-Timestamp"].encode(), good["X-Slack-Signature"].encode()
        wrong: list[Mapping[str, str] | Sequence[tuple[bytes, bytes]]] = [
            {},
            slack.signed(body, secret="another"),
            slack.signed(body + b" "),
            lines(x_slack_signature=signature),
            lines(x_slack_request_timestamp=at),
            lines(x_slack_request_timestamp=at, x_slack_signature=b""),
            lines(x_slack_request_timestamp=at, x_slack_signature=signature.replace(b"v0=", b"v1=")),
            lines(x_slack_request_timestamp=at, x_slack_signature=signature.upper()),
            lines(x_slack_request_timestamp=at, x_slack_signature="v0=é".encode()),
            lines(x_slack_request_timestamp=at, x_slack_signature=b"v0=\xff\xfe"),
            lines(x_slack_request_timestamp=b"now", x_slack_signature=signature),
            lines(x_slack_request_timestamp=b"", x_slack_signature=signature),
            lines(x_slack_request_timestamp=b"-1", x_slack_signature=signature),
            lines(x_slack_request_timestamp=b"1e9", x_slack_signature=signature),
            lines(x_slack_request_timestamp=b"9" * 5000, x_slack_signature=signature),
            lines(x_slack_request_timestamp="١٧٦٣٧٢١٧٨٠".encode(), x_slack_signature=signature),
            [*lines(x_slack_request_timestamp=at, x_slack_signature=signature), (b"x-slack-signature", signature)],
            [*lines(x_slack_request_timestamp=at, x_slack_signature=signature), (b"x-slack-request-timestamp", at)],
        ]
        with capture_logs() as logs:
            answers = [(await slack.send(body, headers)).status_code for headers in wrong]
        assert answers == [401] * len(wrong)
        assert await slack.stored() == []
        assert slack.counted() == {"unsigned": len(wrong)}
        assert [one["event"] for one in logs] == ["interaction_refused"]
        assert SECRET not in str(logs)
        # None of these spent the good one.
        assert (await slack.send(body, good)).status_code == 200

    tell(tmp_path, story)


def test_large_bodies(tmp_path: Path) -> None:
    """Slack sends the whole message along; what no message of ours can be is refused before it is looked at."""

    async def story(slack: Slack) -> None:
        message = {"text": "決" * 3_000, "blocks": [{"text": {"text": '"' * 6_000}}]}
        assert (await slack.send(form({**pressed(slack.incident), "message": message}))).status_code == 200
        fits = b"payload=" + b"a" * (LARGEST_BODY - 8)
        assert (await slack.send(fits)).status_code == 200
        for body in (fits + b"a", b"a" * 1024 * 1024):
            assert (await slack.send(body)).status_code == 413
        assert slack.counted() == {"stored": 1, "ignored": 1, "too_large": 2}

    tell(tmp_path, story)


def test_without_a_secret_there_is_nothing(tmp_path: Path) -> None:
    """404: an unsigned request must not be taken for Slack's."""

    async def story(slack: Slack) -> None:
        closed = Operator(slack.house, tmp_path / "ownership.yaml")
        body = form(pressed(slack.incident))
        assert (await closed.ask(PATH, method="POST", body=body, peer=ELSEWHERE)).status_code == 404
        assert (await slack.operator.ask(PATH, peer=ELSEWHERE)).status_code == 405

    tell(tmp_path, story)


def test_what_is_remembered_is_bounded() -> None:
    """However many presses there are, and what is over is forgotten first."""
    signatures, clock = Signatures(SECRET), Clock()
    at = int(clock().timestamp())

    def refusal(number: int) -> str | None:
        body = b"%d" % number
        digest = hmac.new(SECRET.encode(), b"v0:%d:" % at + body, sha256).hexdigest().encode()
        given = [(b"x-slack-request-timestamp", b"%d" % at), (b"x-slack-signature", b"v0=" + digest)]
        return signatures.refusal(given, body, now=clock())

    assert [refusal(number) for number in range(SIGNATURES_KEPT + 50)] == [None] * (SIGNATURES_KEPT + 50)
    assert len(signatures._seen) == SIGNATURES_KEPT
    assert refusal(50) == "replayed"  # the oldest that is remembered
    assert refusal(49) is None


@settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(data=st.data())
def test_random_bytes(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    """Any headers, any body, signed or not: 200, 401 or 413, and no traceback."""
    interactions = Interactions(
        actions=HangingActions(StoreUnavailable("never asked")),  # type: ignore[arg-type]  # as above
        ownership=lambda: MAP,
        clock=Clock(),
        metrics=Metrics(),
        signing_secret=SECRET,
    )
    scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=10)
    keys = st.sampled_from(["type", "actions", "user", "id", "action_id", "container", "value", "block_id"]) | st.text()
    tree = st.recursive(scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=4))
    payload = st.builds(lambda value: b"payload=" + json.dumps(value).encode(), tree)
    typed = st.builds(lambda value: form({"type": "block_actions", "actions": [value], "user": value}), tree)
    body = data.draw(st.binary(max_size=200) | payload | typed)
    at = int(Clock()().timestamp())
    digest = hmac.new(SECRET.encode(), b"v0:%d:" % at + body, sha256).hexdigest().encode()
    good = [(b"x-slack-request-timestamp", b"%d" % at), (b"x-slack-signature", b"v0=" + digest)]
    names = st.sampled_from([b"x-slack-request-timestamp", b"x-slack-signature"])
    headers = data.draw(st.just(good) | st.lists(st.tuples(names, st.binary(max_size=20)), max_size=4))
    assert asyncio.run(_status(interactions, body, headers)) == (200 if headers is good else 401)


MAP = a_map()


async def _status(interactions: Interactions, body: bytes, headers: list[tuple[bytes, bytes]]) -> int:
    """As a server hands it over: an HTTP client would refuse to send some of it."""
    sent: list[Any] = []  # Any: ASGI messages
    given = [{"type": "http.request", "body": body[:7], "more_body": True}, {"type": "http.request", "body": body[7:]}]
    scope = {"type": "http", "method": "POST", "path": PATH, "headers": headers, "query_string": b"", "client": None}

    async def receive() -> Any:  # Any: as above
        return given.pop(0) if given else {"type": "http.disconnect"}

    async def send(message: Any) -> None:  # Any: as above
        sent.append(message)

    await Starlette(routes=interactions.routes())(scope, receive, send)
    status: int = sent[0]["status"]
    return status


# -- which teams -------------------------------------------------------------------------------------------------------


def test_teams_are_suggested_at_once(tmp_path: Path) -> None:
    """The list below "Not ours" is filled as somebody types."""

    async def story(slack: Slack) -> None:
        asked = {"type": "block_suggestion", "action_id": "disown", "value": "LED", "user": {"id": "U0ALICE"}}
        answer = await slack.send(form(asked))
        assert answer.status_code == 200
        text = {"type": "plain_text", "text": "ledger", "emoji": False}
        assert answer.json() == {"options": [{"text": text, "value": "ledger"}]}
        other = await slack.send(form({**asked, "action_id": "other"}))
        assert other.json() == {"options": []}
        assert slack.counted() == {"suggested": 2}

    tell(tmp_path, story)


NAMES = {"settlement": "決済チーム", "edge": "Edge", "knowledge": "Knowledge"} | {f"t{n}": f"T{n}" for n in range(200)}
TEAMS = a_map(
    head=HEAD
    + "".join(
        f"  {name}: {{name: {shown}, channel: {{name: {name}, id: C0TEAM{number:04}}}, aliases: [{name}-old]}}\n"
        for number, (name, shown) in enumerate(NAMES.items())
    )
)


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        pytest.param("edge", ["edge", "knowledge"], id="what begins so comes first"),
        pytest.param("決済", ["settlement"], id="by its name"),
        pytest.param(" EDGE-o ", ["edge", "knowledge"], id="by an old name, in any case"),
        pytest.param("growth", [], id="a dissolved team is none"),
        pytest.param("zzz", [], id="nothing fits"),
    ],
)
def test_suggestions(typed: str, expected: list[str]) -> None:
    """By what people call a team, what it is called in the map, and what it was called."""
    assert [team.id for team in suggestions(TEAMS, typed)] == expected


def test_no_more_suggestions_than_slack_takes() -> None:
    """Nothing typed yet: the first hundred teams."""
    assert len(suggestions(TEAMS, "")) == 100
