"""What operators see: who is let in, what became of a notification, lists by pages, and a map that is replaced."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from router.core.model import Source
from tests.house import FALLBACK, MAP, PAYMENTS, Clock, House, alert, house
from tests.operators import ELSEWHERE, LOCAL, Operator
from tests.slack import SlackServer

ADMIN = "a-token-for-operators"


Story = Callable[[House, Operator], Awaitable[None]]


def tell(path: Path, story: Story, *, admin_token: str | None = None) -> None:
    clock = Clock()

    async def live() -> None:
        with SlackServer(clock=clock.monotonic) as slack:
            async with house(path, slack, clock=clock) as opened:
                await story(opened, Operator(opened, path / "ownership.yaml", admin_token=admin_token))
            slack.check()

    asyncio.run(live())


@pytest.mark.parametrize(
    ("admin_token", "peer", "headers", "code"),
    [
        pytest.param(None, LOCAL, {}, 200, id="this machine"),
        pytest.param(None, ELSEWHERE, {}, 403, id="another machine"),
        pytest.param(None, LOCAL, {"X-Forwarded-For": "10.0.0.7"}, 403, id="through a proxy"),
        pytest.param(None, LOCAL, {"Host": "localhost:9095"}, 200, id="this machine, by its name"),
        pytest.param(None, LOCAL, {"Host": "router.evil.example:9095"}, 403, id="a page's name that points here"),
        pytest.param(ADMIN, LOCAL, {"Host": "router.evil.example:9095"}, 401, id="the same, with a token set"),
        pytest.param(
            ADMIN,
            LOCAL,
            {"Host": "router.example.com", "Authorization": f"Bearer {ADMIN}"},
            200,
            id="the token, by any name",
        ),
        pytest.param(ADMIN, LOCAL, {}, 200, id="this machine, with a token set"),
        pytest.param(ADMIN, ELSEWHERE, {}, 401, id="another machine without the token"),
        pytest.param(ADMIN, ELSEWHERE, {"Authorization": f"Bearer {ADMIN}"}, 200, id="the token"),
        pytest.param(ADMIN, ELSEWHERE, {"Authorization": "Bearer wrong"}, 401, id="another token"),
        pytest.param(ADMIN, ELSEWHERE, {"Authorization": "Basic !!!"}, 401, id="not decodable"),
        pytest.param(
            ADMIN,
            ELSEWHERE,
            {"Authorization": "Basic bWU6YS10b2tlbi1mb3Itb3BlcmF0b3Jz"},
            200,
            id="Basic with the token as password",
        ),
    ],
)
@pytest.mark.parametrize("path", ["/api/v1/status", "/metrics", "/api/v1/incidents", "/api/v1/dead-letters"])
def test_who_is_let_in(
    tmp_path: Path, admin_token: str | None, peer: tuple[str, int], headers: dict[str, str], code: int, path: str
) -> None:
    """This machine always; others with the admin token, where one is set."""

    async def story(_house: House, operator: Operator) -> None:
        assert (await operator.ask(path, peer=peer, headers=headers)).status_code == code

    tell(tmp_path, story, admin_token=admin_token)


BASIC = "Basic bWU6YS10b2tlbi1mb3Itb3BlcmF0b3Jz"
POSTED = ["/-/reload", "/api/v1/dead-letters/drop", "/api/v1/incidents/0sa3rpvyr3bg3-1/ack"]


@pytest.mark.parametrize("path", POSTED)
def test_pages_change_nothing(tmp_path: Path, path: str) -> None:
    """A page that posts has the browser's cookies and passwords, and not the operator's word; a program has."""

    async def story(_house: House, operator: Operator) -> None:
        async def code(peer: tuple[str, int], **headers: str) -> int:
            # What a form sends without being asked whether it may.
            given = {"Content-Type": "text/plain", **headers}
            return (await operator.ask(path, method="POST", body=b"{}", peer=peer, headers=given)).status_code

        for origin in ("https://evil.example", "null"):
            assert await code(LOCAL, Origin=origin) == 401
            assert await code(ELSEWHERE, Origin=origin, Authorization=BASIC) == 401
        assert await code(LOCAL, Host="evil.example:9095") == 401
        assert {await code(LOCAL), await code(ELSEWHERE, Authorization=BASIC)} <= {200, 400}

    tell(tmp_path, story, admin_token=ADMIN)


@pytest.mark.parametrize("path", POSTED[1:])
def test_who_leaves_before_the_body_is_there(tmp_path: Path, path: str) -> None:
    """No traceback, and nothing is done."""

    async def story(_house: House, operator: Operator) -> None:
        assert await operator.leave(path) == 400

    tell(tmp_path, story)


def test_health_is_open_and_ready_is_not_while_draining(tmp_path: Path) -> None:
    """Probes need no token; a router on its way out is alive but not ready."""

    async def story(_house: House, operator: Operator) -> None:
        assert (await operator.ask("/-/ready", peer=ELSEWHERE)).status_code == 200
        operator.draining = True
        assert (await operator.ask("/-/ready", peer=ELSEWHERE)).status_code == 503
        assert (await operator.ask("/-/healthy", peer=ELSEWHERE)).status_code == 200

    tell(tmp_path, story)


def test_what_became_of_a_notification(tmp_path: Path) -> None:
    """From the id of the answer: each alert with its owner, the entry that chose it, its incident and the reason."""

    async def story(house: House, operator: Operator) -> None:
        identifier = await house.tell(alert("A"), alert("B", team=None))
        waiting = await operator.json(f"/api/v1/notifications/{identifier}")
        assert (waiting["state"], waiting["alerts"]) == ("waiting", [])
        await house.settle()
        found = await operator.json(f"/api/v1/notifications/{identifier}")
        assert (found["state"], found["map_revision"]) == ("decided", house.ownership.revision)
        first, orphan = found["alerts"]
        assert (first["owner"], first["labels"]["alertname"], first["reason"]) == (
            "payments",
            "A",
            "first notification",
        )
        assert (first["via"]["stage"], first["via"]["line"]) == ("label", 6)
        assert (orphan["owner"], orphan["via"]["stage"]) == (None, "fallback")
        incidents = (await operator.json("/api/v1/incidents"))["incidents"]
        assert {(one["id"], one["orphan"], one["messages"][0]["channel"]) for one in incidents} == {
            (first["incident"], False, PAYMENTS),
            (orphan["incident"], True, FALLBACK),
        }
        assert (await operator.ask("/api/v1/notifications/0000000000000")).status_code == 404
        assert (await operator.ask("/api/v1/notifications/..%2f..")).status_code == 404

    tell(tmp_path, story)


def test_lists_by_pages(tmp_path: Path) -> None:
    """Following `next` gives every entry once, newest first, and ends."""

    async def story(house: House, operator: Operator) -> None:
        for number in range(5):
            await house.tell(alert(f"A{number}"), group=f"g{number}")
            await house.inbox.accept(source=Source.GRAFANA, body=b"no", error=f"defect {number}", now=house.clock())
            house.clock.advance(1)
        await house.settle()
        for path, name, key in (("incidents", "incidents", "title"), ("dead-letters", "dead_letters", "error")):
            seen, cursor = [], ""
            while True:
                page = await operator.json(f"/api/v1/{path}?limit=2{cursor}")
                assert len(page[name]) <= 2
                seen += [entry[key] for entry in page[name]]
                if page["next"] is None:
                    break
                cursor = f"&cursor={page['next']}"
            assert [title[-1] for title in seen] == ["4", "3", "2", "1", "0"]

    tell(tmp_path, story)


def test_incidents_of_one_team(tmp_path: Path) -> None:
    """What is one team's, or nobody's, alone; and what fires again is known by its group."""

    async def story(house: House, operator: Operator) -> None:
        for number, team in enumerate(("payments", "ledger", None)):
            await house.tell(alert(f"A{number}", team=team), group=f"g{number}")
        await house.settle()
        await house.tell(alert("A0", resolved=True), group="g0")
        await house.settle()
        house.clock.advance(7200)
        await house.tell(alert("A0"), group="g0")
        await house.settle()
        titles, groups = {}, {}
        for team in ("payments", "ledger", "nobody", "no-such-team"):
            found = (await operator.json(f"/api/v1/incidents?state=all&team={team}"))["incidents"]
            titles[team] = [one["title"] for one in found]
            groups[team] = {one["group"] for one in found}
        assert titles == {"payments": ["A0", "A0"], "ledger": ["A1"], "nobody": ["A2"], "no-such-team": []}
        assert len(groups["payments"]) == 1
        assert len(set.union(*groups.values())) == 3

    tell(tmp_path, story)


@pytest.mark.parametrize(
    "query",
    [
        "incidents?state=no",
        "incidents?limit=0",
        "incidents?limit=x",
        "incidents?limit=1001",
        pytest.param(f"incidents?limit={'9' * 5000}", id="limit of more digits than int() takes"),
        "dead-letters?limit=-1",
        "dead-letters?cursor=no",
    ],
)
def test_wrong_questions(tmp_path: Path, query: str) -> None:
    """A question that makes no sense is told so."""

    async def story(_house: House, operator: Operator) -> None:
        answer = await operator.ask(f"/api/v1/{query}")
        assert (answer.status_code, list(answer.json())) == (400, ["error"])

    tell(tmp_path, story)


def test_reload_replaces_the_map_or_keeps_it(tmp_path: Path) -> None:
    """A good file is taken as a whole; a broken one is told with file, line and column, and the old map stays."""

    async def story(_house: House, operator: Operator) -> None:
        before = operator.ownership().revision
        operator.map_file.write_text(MAP.replace("ledger:", "general-ledger:"), encoding="utf-8")
        assert (await operator.ask("/-/reload", method="POST")).status_code == 200
        taken = operator.ownership()
        assert (taken.revision != before, "general-ledger" in taken.teams) == (True, True)

        operator.map_file.write_text(MAP.replace("channel:", "chanel:", 1), encoding="utf-8")
        answer = await operator.ask("/-/reload", method="POST")
        assert (answer.status_code, "ownership.yaml:4:" in answer.text) == (500, True)
        assert operator.ownership() is taken
        status = (await operator.json("/api/v1/status"))["map"]
        assert (status["ok"], status["revision"], "ownership.yaml:4:" in status["error"]) == (
            False,
            taken.revision,
            True,
        )
        assert "router_map_last_reload_successful 0.0" in (await operator.ask("/metrics")).text

    tell(tmp_path, story)


def test_sums_in_status_and_metrics_are_the_same(tmp_path: Path) -> None:
    """Both show the conservation law, and it holds."""

    async def story(house: House, operator: Operator) -> None:
        await house.tell(alert("A"))
        await house.tell(alert("A"))
        await house.inbox.accept(source=Source.ALERTMANAGER, body=b"no", error="defect", now=house.clock())
        await house.settle()
        await house.tell(alert("B"), group="h")
        found = (await operator.json("/api/v1/status"))["notifications"]
        assert found == {"accepted": 4, "deduplicated": 1, "quarantined": 1, "decided": 1, "waiting": 1}
        metrics = (await operator.ask("/metrics")).text
        for state, value in found.items():
            assert f'router_notifications{{state="{state}"}} {float(value)}' in metrics

    tell(tmp_path, story)
