"""Dead letters: found, understood, replayed at most once, dropped; the sums balance all the way."""

import asyncio
import json
import re
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from router.core.model import Source
from router.preview.faults import Fault, FaultKind
from router.preview.workspace import ChannelSeed
from router.store.database import Connection
from tests.house import FALLBACK, HANDED_OVER, LEDGER, PAYMENTS, Clock, House, alert, header, house
from tests.operators import ELSEWHERE, Operator
from tests.slack import SlackServer

LETTERS = "/api/v1/dead-letters"

Json = dict[str, Any]
Story = Callable[[House, Operator], Awaitable[None]]


def tell(path: Path, story: Story) -> SlackServer:
    """Runs a story; at the end the sums balance and no rule of Slack was violated."""
    clock = Clock()

    async def live() -> SlackServer:
        with SlackServer(clock=clock.monotonic) as slack:
            async with house(path, slack, clock=clock) as opened:
                await story(opened, Operator(opened, path / "ownership.yaml"))
                await balance(opened)
            slack.check()
            return slack

    return asyncio.run(live())


async def balance(house: House) -> dict[str, int]:
    sums = await house.sums()
    assert sums["wanted"] == sums["delivered"] + sums["pending"] + sums["superseded"] + sums["dead"]
    assert sums["accepted"] == sums["deduplicated"] + sums["quarantined"] + sums["decided"] + sums["waiting"]
    return sums


def body_of(*alerts: Json, group: str = "g") -> bytes:
    told = {"version": "4", "receiver": "router", "groupKey": group, "status": "firing", "alerts": list(alerts)}
    return json.dumps(told).encode()


async def quarantine(
    house: House, body: bytes, *, source: Source = Source.ALERTMANAGER, error: str = "an older router's word"
) -> str:
    """A dead letter whose body is any; its id. Where that can be read today, an older router could not."""
    identifier = await house.inbox.accept(source=source, body=body, error=error, now=house.clock())
    house.clock.advance(0.01)
    return identifier


async def give_up(house: House, operator: Operator, *names: str) -> list[str]:
    """Deliveries to a channel that is archived, each of a group of its own; their ids, the newest first."""
    house.slack.emulator.script(Fault(kind=FaultKind.ARCHIVE_CHANNEL, channel=PAYMENTS, nth=1))
    for name in names or ("A",):
        await house.tell(alert(name), group=name)
        await house.settle()
    return [letter["id"] for letter in await listed(operator) if letter["kind"] == "delivery"]


def repair(house: House) -> None:
    house.slack.emulator.seed(channels=[ChannelSeed(id=PAYMENTS, name="pay-alerts")])


async def listed(operator: Operator, query: str = "") -> list[Json]:
    letters: list[Json] = (await operator.json(f"{LETTERS}{query}"))["dead_letters"]
    return letters


def ids_of(letters: Sequence[Json]) -> list[str]:
    return [letter["id"] for letter in letters]


def outcomes(answer: Json) -> list[tuple[str, str]]:
    return [(letter["id"], letter["outcome"]) for letter in answer["dead_letters"]]


async def replay(operator: Operator, *ids: str, **further: object) -> Json:
    question = {"ids": list(ids)} if ids else {"all": True}
    answer: Json = await operator.post(f"{LETTERS}/replay", question | further)
    return answer


async def drop(operator: Operator, *ids: str, **further: object) -> Json:
    question = {"ids": list(ids)} if ids else {"all": True}
    answer: Json = await operator.post(f"{LETTERS}/drop", question | further)
    return answer


# -- notifications -----------------------------------------------------------------------------------------------------


def test_a_notification_is_decided_by_todays_router(tmp_path: Path) -> None:
    """What is understood today reaches its owner, and says by which replay."""

    async def story(house: House, operator: Operator) -> None:
        identifier = await quarantine(house, body_of(alert("A")))
        with capture_logs() as logs:
            answer = await replay(operator, identifier)
        assert outcomes(answer) == [(identifier, "replayed")]
        assert (answer["version"], answer["counts"]["replayed"], answer["next"]) == (1, 1, None)
        assert re.fullmatch("r[0-9a-z]{13}", answer["replay"])
        told = [line for line in logs if line["event"] == "dead_letter_replayed"]
        assert [(line["notification"], line["replay"]) for line in told] == [(identifier, answer["replay"])]
        assert operator.woken == 1
        assert await listed(operator) == []
        assert (await balance(house))["waiting"] == 1
        await house.settle()
        found = await operator.json(f"/api/v1/notifications/{identifier}")
        assert (found["state"], found["error"], found["replay"]) == ("decided", None, answer["replay"])
        assert [one["owner"] for one in found["alerts"]] == ["payments"]

    slack = tell(tmp_path, story)
    assert len(slack.roots(PAYMENTS)) == 1


def test_a_notification_that_is_still_not_understood(tmp_path: Path) -> None:
    """It is a dead letter again, with the error of today; so often as it is replayed."""

    async def story(house: House, operator: Operator) -> None:
        identifier = await quarantine(house, b"no")
        for _ in range(2):
            answer = await replay(operator, identifier)
            await house.settle()
            (letter,) = await listed(operator)
            assert (letter["id"], letter["error"][:12]) == (identifier, "Invalid JSON")
            assert letter["replay"] == answer["replay"]
            assert (await balance(house))["quarantined"] == 1

    tell(tmp_path, story)


def test_the_older_of_a_group_is_decided_first(tmp_path: Path) -> None:
    """All that are dead are replayed in the order in which they came: what fired and resolved ends resolved."""

    async def story(house: House, operator: Operator) -> None:
        await quarantine(house, body_of(alert("A")))
        await quarantine(house, body_of(alert("A", resolved=True)))
        assert (await replay(operator))["counts"]["replayed"] == 2
        await house.settle()
        (incident,) = (await operator.json("/api/v1/incidents?state=all"))["incidents"]
        assert incident["state"] == "resolved"

    tell(tmp_path, story)


def test_an_outdated_notification_asks(tmp_path: Path) -> None:
    """Its group was told again since: it stays a dead letter, unless it is replayed all the same."""

    async def story(house: House, operator: Operator) -> None:
        identifier = await quarantine(house, body_of(alert("A")))
        newer = await house.tell(alert("A", resolved=True))
        await house.settle()
        answer = await replay(operator)
        assert outcomes(answer) == [(identifier, "outdated")]
        assert newer in answer["dead_letters"][0]["detail"]
        assert [letter["id"] for letter in await listed(operator)] == [identifier]
        assert outcomes(await replay(operator, identifier, outdated=True)) == [(identifier, "replayed")]

    tell(tmp_path, story)


def test_the_last_word_of_a_group_is_not_outdated(tmp_path: Path) -> None:
    """What its group was told before does not hold it back: that it resolved reaches people at last."""

    async def story(house: House, operator: Operator) -> None:
        await house.tell(alert("A"))
        await house.settle()
        identifier = await quarantine(house, body_of(alert("A", resolved=True)))
        assert outcomes(await replay(operator)) == [(identifier, "replayed")]
        await house.settle()

    slack = tell(tmp_path, story)
    (message,) = slack.roots(PAYMENTS)
    assert "RESOLVED" in header(message)


def forget_bodies(connection: Connection) -> None:
    connection.execute("DELETE FROM bodies")


def test_a_body_that_is_gone(tmp_path: Path) -> None:
    """Without its body it cannot wait to be decided: it says so, and stays."""

    async def story(house: House, operator: Operator) -> None:
        identifier = await quarantine(house, b"no")
        await house.store.write(forget_bodies)
        assert outcomes(await replay(operator, dry_run=True)) == [(identifier, "body_gone")]
        assert outcomes(await replay(operator)) == [(identifier, "body_gone")]
        shown = await operator.json(f"{LETTERS}/{identifier}")
        assert (shown["body"], shown["size"], shown["state"]) == (None, None, "quarantined")

    tell(tmp_path, story)


# -- deliveries --------------------------------------------------------------------------------------------------------


def test_a_delivery_to_a_channel_that_was_repaired(tmp_path: Path) -> None:
    """It is posted once and shows the newest state; the message that stood for it is kept true too."""

    async def story(house: House, operator: Operator) -> None:
        (identifier,) = await give_up(house, operator)
        assert (await balance(house))["dead"] == 1
        repair(house)
        answer = await replay(operator, identifier)
        assert outcomes(answer) == [(identifier, "replayed")]
        assert answer["dead_letters"][0]["detail"] == "goes to #pay-alerts"
        sums = await balance(house)
        assert (sums["dead"], sums["pending"]) == (0, 1)
        await house.settle()
        assert await listed(operator) == []
        shown = await operator.json(f"{LETTERS}/{identifier}")
        assert (shown["state"], shown["replay"], shown["error"]) == ("delivered", answer["replay"], "")
        await house.tell(alert("A", resolved=True), group="A")
        await house.settle()

    slack = tell(tmp_path, story)
    (own,), (stand_in,) = slack.roots(PAYMENTS), slack.roots(FALLBACK)
    assert "RESOLVED" in header(own)
    assert "RESOLVED" in header(stand_in)


def test_a_delivery_that_is_refused_again(tmp_path: Path) -> None:
    """It is a dead letter again, with today's reason; the fallback channel is not told twice."""

    async def story(house: House, operator: Operator) -> None:
        (identifier,) = await give_up(house, operator)
        await replay(operator, identifier)
        await house.settle()
        (letter,) = await listed(operator)
        assert (letter["id"], letter["reason"]) == (identifier, "is_archived")
        assert (await balance(house))["dead"] == 1

    slack = tell(tmp_path, story)
    assert len(slack.roots(FALLBACK)) == 1


def test_a_delivery_of_what_the_map_gave_away(tmp_path: Path) -> None:
    """The new owner has a message of it: the old one is not sent, and leaves the list with the reason."""

    async def story(house: House, operator: Operator) -> None:
        (identifier,) = await give_up(house, operator)
        house.new_map(HANDED_OVER)
        await operator.ask("/-/reload", method="POST")
        await house.settle()
        assert dict(outcomes(await replay(operator, dry_run=True)))[identifier] == "superseded"
        before = await house.sums()
        with capture_logs() as logs:
            answer = await replay(operator, identifier)
        assert outcomes(answer) == [(identifier, "superseded")]
        (incident,) = (await operator.json("/api/v1/incidents"))["incidents"]
        detail = answer["dead_letters"][0]["detail"]
        assert f"incident {incident['id']} shows it now in #ledger-alerts" in detail
        assert [line["why"] for line in logs if line["event"] == "dead_letter_superseded"] == [detail]
        assert identifier not in ids_of(await listed(operator))
        assert await balance(house) == before
        shown = await operator.json(f"{LETTERS}/{identifier}")
        assert (shown["state"], shown["replay"]) == ("dead", answer["replay"])
        assert shown["handled_at"] is not None
        assert outcomes(await replay(operator, identifier)) == [(identifier, "not_dead")]

    slack = tell(tmp_path, story)
    assert (len(slack.roots(PAYMENTS)), len(slack.roots(LEDGER))) == (0, 1)


def test_a_delivery_to_a_channel_that_the_map_does_not_name_any_more(tmp_path: Path) -> None:
    """What ended before the map changed has nobody to tell."""

    async def story(house: House, operator: Operator) -> None:
        (identifier,) = await give_up(house, operator)
        await house.tell(alert("A", resolved=True), group="A")
        await house.settle()
        house.new_map(HANDED_OVER)
        await operator.ask("/-/reload", method="POST")
        await house.settle()
        answer = await replay(operator, identifier)
        assert outcomes(answer) == [(identifier, "superseded")]
        assert "does not name its channel any more" in answer["dead_letters"][0]["detail"]

    tell(tmp_path, story)


def test_a_digest_that_was_given_up(tmp_path: Path) -> None:
    """One dead letter for all that it stood for; replayed, it tells them, and is kept true afterwards."""
    names = [f"Export{number}Failed" for number in range(7)]

    async def story(house: House, operator: Operator) -> None:
        house.slack.emulator.script(Fault(kind=FaultKind.ARCHIVE_CHANNEL, channel=PAYMENTS, nth=1))
        for name in names:
            await house.tell(alert(name), group=name)
        await house.settle()
        (letter,) = await listed(operator)
        assert (letter["summary"], letter["reason"], letter["channel"]) == ("a digest", "is_archived", PAYMENTS)
        repair(house)
        assert outcomes(await replay(operator)) == [(letter["id"], "replayed")]
        await balance(house)
        await house.settle()
        await house.tell(alert(names[0], resolved=True), group=names[0])
        await house.settle()

    slack = tell(tmp_path, story)
    (digest,) = slack.roots(PAYMENTS)
    shown = str(digest.content.blocks)
    assert [name for name in names if name not in shown] == []
    assert len(digest.revisions) == 2


# -- once --------------------------------------------------------------------------------------------------------------


def test_90_twice_and_at_once(tmp_path: Path) -> None:
    """Of any number of replays of the same dead letters one does it, and the others say that it is done."""

    async def story(house: House, operator: Operator) -> None:
        dead = await give_up(house, operator, "A", "B")
        dead.append(await quarantine(house, body_of(alert("C"), group="C")))
        repair(house)
        answers = await asyncio.gather(*(replay(operator, *dead) for _ in range(4)))
        for identifier in dead:
            found = sorted(dict(outcomes(answer))[identifier] for answer in answers)
            assert found == ["not_dead"] * 3 + ["replayed"]
        again = await replay(operator, *dead)
        assert {outcome for _, outcome in outcomes(again)} == {"not_dead"}
        assert "replayed by r" in again["dead_letters"][0]["detail"]
        await house.settle()
        assert outcomes(await replay(operator)) == []

    slack = tell(tmp_path, story)
    assert len(slack.roots(PAYMENTS)) == 3
    posts = [entry.delivery_id for entry in slack.emulator.accepted if entry.method == "chat.postMessage"]
    assert len(posts) == len(set(posts))


def test_more_than_one_answer_takes(tmp_path: Path) -> None:
    """Every dead letter once, the oldest first, by one replay, following `next`."""

    async def story(house: House, operator: Operator) -> None:
        dead = [await quarantine(house, body_of(alert("A"), group=f"g{number}")) for number in range(1003)]
        dead += reversed(await give_up(house, operator))
        seen: list[str] = []
        first: Json = {}
        cursor: Json = {}
        while True:
            answer = await replay(operator, **cursor)
            first = first or answer
            assert answer["replay"] == first["replay"]
            seen += [identifier for identifier, outcome in outcomes(answer) if outcome == "replayed"]
            if answer["next"] is None:
                break
            cursor = {"cursor": answer["next"]}
        assert (len(first["dead_letters"]), seen) == (1000, dead)
        assert (await balance(house))["waiting"] == 1003

    tell(tmp_path, story)


def test_large_bodies_are_replayed_in_small_transactions(tmp_path: Path) -> None:
    """Bodies of megabytes are read one after the other, and none is left out."""

    async def story(house: House, operator: Operator) -> None:
        filler = alert("A") | {"annotations": {"summary": "x" * 700_000}}
        dead = [await quarantine(house, body_of(filler, group=f"g{number}")) for number in range(5)]
        assert outcomes(await replay(operator)) == [(identifier, "replayed") for identifier in dead]

    tell(tmp_path, story)


# -- without changing anything -----------------------------------------------------------------------------------------


def test_a_dry_run_foretells_and_changes_nothing(tmp_path: Path) -> None:
    """For each what would become of it under today's map, and no replay to look for."""

    async def story(house: House, operator: Operator) -> None:
        (delivery,) = await give_up(house, operator)
        known = await quarantine(house, body_of(alert("B"), alert("C"), alert("D", team=None), group="b"))
        unknown = await quarantine(house, b"no")
        silent = await quarantine(house, json.dumps({"event": "deploy"}).encode(), source=Source.HONEYBADGER)
        before = await listed(operator), await house.sums()
        answer = await replay(operator, dry_run=True)
        told = {letter["id"]: letter["detail"] for letter in answer["dead_letters"]}
        assert told.pop(unknown).startswith("would be quarantined again: Invalid JSON")
        file, line = house.ownership.file, house.ownership.fallback.place.line
        assert told == {
            known: f"would be decided: payments via label team ({file}:6); nobody via fallback ({file}:{line})",
            silent: "would be decided: it tells of no alert",
            delivery: "goes to #pay-alerts",
        }
        assert (answer["dry_run"], answer["replay"], answer["counts"]["replayed"]) == (True, None, 4)
        assert (await drop(operator, dry_run=True))["counts"]["dropped"] == 4
        assert (await listed(operator), await house.sums()) == before
        assert operator.woken == 0

    tell(tmp_path, story)


def test_dropped_for_good(tmp_path: Path) -> None:
    """They leave the list and stay in the sums; a second time they are none."""

    async def story(house: House, operator: Operator) -> None:
        dead = [*(await give_up(house, operator)), await quarantine(house, b"no")]
        before = await house.sums()
        with capture_logs() as logs:
            answer = await drop(operator, *dead)
        assert {outcome for _, outcome in outcomes(answer)} == {"dropped"}
        assert [line["event"] for line in logs] == ["dead_letter_dropped"] * 2
        assert (await listed(operator), await house.sums()) == ([], before)
        assert {outcome for _, outcome in outcomes(await drop(operator, *dead))} == {"not_dead"}
        assert {outcome for _, outcome in outcomes(await replay(operator, *dead))} == {"not_dead"}
        shown = await operator.json(f"{LETTERS}/{dead[0]}")
        assert (shown["state"], shown["handled_at"] is None) == ("dead", False)

    tell(tmp_path, story)


# -- the list, and one of them -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        pytest.param("", [0, 1, 2], id="all"),
        pytest.param("?kind=notification", [0], id="notifications"),
        pytest.param("?kind=delivery", [1, 2], id="deliveries"),
        pytest.param("?reason=is_archived", [1, 2], id="a channel's reason"),
        pytest.param("?reason=not+understood", [0], id="the reason of notifications"),
        pytest.param("?kind=notification&reason=is_archived", [], id="none of that reason"),
        pytest.param("?reason=is_archived&limit=1", [1], id="the first page"),
    ],
)
def test_the_list_can_be_narrowed(tmp_path: Path, query: str, expected: list[int]) -> None:
    """By kind and by reason, and both work for replay and drop as well."""

    async def story(house: House, operator: Operator) -> None:
        deliveries = await give_up(house, operator, "A", "B")
        dead = [await quarantine(house, b"no"), *deliveries]
        found = await listed(operator, query)
        assert [letter["id"] for letter in found] == [dead[number] for number in expected]
        if "limit" not in query:
            narrowing = dict(part.split("=") for part in query.removeprefix("?").replace("+", " ").split("&") if part)
            answer = await replay(operator, dry_run=True, **narrowing)
            assert {identifier for identifier, _ in outcomes(answer)} == {dead[number] for number in expected}

    tell(tmp_path, story)


def test_only_those_from_before_a_time(tmp_path: Path) -> None:
    """What came later stays."""

    async def story(house: House, operator: Operator) -> None:
        older = await quarantine(house, b"no")
        house.clock.advance(60)
        before = house.clock().isoformat()
        newer = await quarantine(house, b"no")
        assert outcomes(await drop(operator, before=before)) == [(older, "dropped")]
        assert [letter["id"] for letter in await listed(operator)] == [newer]

    tell(tmp_path, story)


def test_all_about_a_delivery(tmp_path: Path) -> None:
    """What an operator asks: which message, where to, of which incident, what Slack said, how often."""

    async def story(house: House, operator: Operator) -> None:
        (identifier,) = await give_up(house, operator)
        shown = await operator.json(f"{LETTERS}/{identifier}")
        (incident,) = (await operator.json("/api/v1/incidents"))["incidents"]
        assert {key: shown[key] for key in ("version", "id", "kind", "reason", "error", "attempts", "state")} == {
            "version": 1,
            "id": identifier,
            "kind": "delivery",
            "reason": "is_archived",
            "error": "is_archived",
            "attempts": 1,
            "state": "dead",
        }
        assert (shown["channel"], shown["channel_name"], shown["message"]) == (PAYMENTS, "pay-alerts", "root")
        assert (shown["incident"], shown["title"], shown["owner"]) == (incident["id"], "A", "payments")
        assert (shown["incident_state"], shown["handled_at"], shown["replay"]) == ("open", None, None)

    tell(tmp_path, story)


@pytest.mark.parametrize(
    ("body", "shown"),
    [
        pytest.param(b"no", "no", id="as it came"),
        pytest.param(b"\xff\x00", "\N{REPLACEMENT CHARACTER}\x00", id="not text"),
        pytest.param(b'{"a": "xoxb-1-abc"}', '{"a": "\N{HORIZONTAL ELLIPSIS}"}', id="a token of Slack"),
        pytest.param(b"http://me:pass@host/", "http://\N{HORIZONTAL ELLIPSIS}@host/", id="a password in an address"),
        pytest.param(
            rb'{"api_key" : "a\"b", "x": 1}',
            '{"api_key" : "\N{HORIZONTAL ELLIPSIS}", "x": 1}',
            id="named like a secret",
        ),
        pytest.param(
            rb'{"log": "{\"api_key\": \"abc\"}", "x": 1}',
            r'{"log": "{\"api_key\": \"' + '\N{HORIZONTAL ELLIPSIS}", "x": 1}',
            id="named like a secret in JSON within JSON",
        ),
        pytest.param(b"x" * 70_000, "x" * 65_536, id="long"),
        pytest.param(
            b"x" * 65_520 + b"://me:password-of-mine@host",
            "x" * 65_520 + "://\N{HORIZONTAL ELLIPSIS}",
            id="half a secret at the cut",
        ),
    ],
)
def test_the_body_of_a_notification(tmp_path: Path, body: bytes, shown: str) -> None:
    """Its beginning as text, without what looks like a secret."""

    async def story(house: House, operator: Operator) -> None:
        identifier = await quarantine(house, body)
        found = await operator.json(f"{LETTERS}/{identifier}")
        assert found["body"] == shown
        assert (found["body_cut"], found["body_withheld"]) == (len(body) > 65_536, None)
        assert (found["size"], found["source"], found["error"]) == (
            len(body),
            "alertmanager",
            "an older router's word",
        )

    tell(tmp_path, story)


def test_a_body_that_may_hold_secrets_is_not_shown(tmp_path: Path) -> None:
    """Honeybadger's bodies hold the project's key: one that could not be read still has it."""

    async def story(house: House, operator: Operator) -> None:
        identifier = await quarantine(house, b'{"project": {"token": "hbp_secret', source=Source.HONEYBADGER)
        answer = await operator.ask(f"{LETTERS}/{identifier}")
        assert "hbp_secret" not in answer.text
        assert (answer.json()["body"], answer.json()["body_withheld"]) == (None, "it may hold secrets")

    tell(tmp_path, story)


@pytest.mark.parametrize("identifier", ["m1", "m99999999999999999999", "0000000000000", "no", "m", "m-1", "m1x"])
def test_no_such_dead_letter(tmp_path: Path, identifier: str) -> None:
    """What was delivered, what never was, and what is no id at all."""

    async def story(house: House, operator: Operator) -> None:
        await house.tell(alert("A"))
        await house.settle()
        assert (await operator.ask(f"{LETTERS}/{identifier}")).status_code == 404
        assert outcomes(await replay(operator, identifier)) == [(identifier, "unknown")]
        assert outcomes(await drop(operator, identifier)) == [(identifier, "unknown")]

    tell(tmp_path, story)


# -- questions ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("action", ["replay", "drop"])
@pytest.mark.parametrize(
    ("body", "error"),
    [
        pytest.param(b"", "Invalid JSON", id="nothing"),
        pytest.param(b"[]", "should be a JSON object", id="a list"),
        pytest.param(b"{}", 'give either "ids", a list of them, or "all": true', id="neither"),
        pytest.param(b'{"ids": ["m1"], "all": true}', "give either", id="both"),
        pytest.param(b'{"all": false}', "give either", id="not all"),
        pytest.param(b'{"ids": []}', "ids: ", id="no ids"),
        pytest.param(b'{"ids": "m1"}', "ids: should be a list", id="an id that is no list"),
        pytest.param(b'{"ids": [1]}', "ids[0]: should be a string", id="a number"),
        pytest.param(b'{"all": 1}', "all: ", id="not a boolean"),
        pytest.param(b'{"all": true, "kind": "no"}', "kind: ", id="no such kind"),
        pytest.param(b'{"all": true, "before": "2026-11-22T10:00:00"}', "before: ", id="a time without its zone"),
        pytest.param(b'{"all": true, "resaon": "x"}', 'unknown key "resaon"; did you mean "reason"?', id="misspelt"),
        pytest.param(b'{"ids": ["m1"], "reason": "x"}', '"reason" goes with "all": true, not with "ids"', id="unused"),
        pytest.param(b'{"all": true, "cursor": "no"}', "cursor is what an earlier answer gave", id="no cursor"),
        pytest.param(b'{"all": true, "cursor": "r0000000000000.x"}', "cursor is what", id="half a cursor"),
        pytest.param(json.dumps({"ids": ["m1"] * 1001}).encode(), "ids: ", id="too many ids"),
    ],
)
def test_wrong_questions(tmp_path: Path, action: str, body: bytes, error: str) -> None:
    """Nothing is done, and the answer says what is wrong."""

    async def story(house: House, operator: Operator) -> None:
        await quarantine(house, b"no")
        answer = await operator.ask(f"{LETTERS}/{action}", method="POST", body=body)
        assert (answer.status_code, list(answer.json())) == (400, ["error"])
        assert error in answer.json()["error"]
        assert len(await listed(operator)) == 1

    tell(tmp_path, story)


def test_a_question_that_is_too_long(tmp_path: Path) -> None:
    """It is refused unread."""

    async def story(_house: House, operator: Operator) -> None:
        answer = await operator.ask(f"{LETTERS}/replay", method="POST", body=b" " * 1_000_000)
        assert answer.status_code == 413

    tell(tmp_path, story)


@pytest.mark.parametrize("query", ["?kind=no", "?limit=0", "?cursor=no", "?cursor=0000000000000.99999999999999999999"])
def test_wrong_lists(tmp_path: Path, query: str) -> None:
    """A list that makes no sense is refused."""

    async def story(_house: House, operator: Operator) -> None:
        assert (await operator.ask(f"{LETTERS}{query}")).status_code == 400

    tell(tmp_path, story)


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", f"{LETTERS}/m1"), ("POST", f"{LETTERS}/replay"), ("POST", f"{LETTERS}/drop")],
    ids=["one", "replay", "drop"],
)
def test_only_operators_are_let_in(tmp_path: Path, method: str, path: str) -> None:
    """Not another machine without the token, and not a page of anybody's in a browser on this one."""

    async def story(_house: House, operator: Operator) -> None:
        assert (await operator.ask(path, method=method, peer=ELSEWHERE)).status_code == 403
        assert (await operator.ask(path, method=method, headers={"Origin": "http://localhost:9095"})).status_code == 403

    tell(tmp_path, story)


def test_pages_of_both_kinds(tmp_path: Path) -> None:
    """Following `next` gives each once, newest first, though notifications and deliveries alternate."""

    async def story(house: House, operator: Operator) -> None:
        expected: list[str] = []
        for name in "ABC":
            expected += [
                identifier for identifier in await give_up(house, operator, name) if identifier not in expected
            ]
            house.clock.advance(timedelta(minutes=1).total_seconds())
            expected.append(await quarantine(house, b"no"))
            house.clock.advance(timedelta(minutes=1).total_seconds())
        found: list[str] = []
        cursor: str | None = ""
        while cursor is not None:
            page = await operator.json(f"{LETTERS}?limit=2{cursor}")
            found += ids_of(page["dead_letters"])
            cursor = None if page["next"] is None else f"&cursor={page['next']}"
        assert found == expected[::-1]

    tell(tmp_path, story)
