"""docs/reference/http.md has every path, every answer and every reason, and no other."""

import json
import re
from datetime import UTC, datetime
from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.routing import Mount, Route

from router.acting import ActionInbox
from router.active_map import ActiveMap
from router.api import Api, OperatorsOnly
from router.core.incidents import Reason
from router.core.model import NotificationState, Source
from router.dead_letter_api import ReplayQuestion
from router.delivery import SlackHealth
from router.handling import Outcome
from router.store import inbox
from router.store.database import Store
from router.telemetry import INTAKE_CODES, Metrics
from tests.docs.pages import PROJECT, blocks, code_in, rows, section, text_of
from tests.house import MAP

PAGE = "docs/reference/http.md"
NOW = datetime(2026, 11, 21, 11, 3, tzinfo=UTC)


@pytest.fixture
def api_paths(tmp_path: Path) -> set[str]:
    """`METHOD path` of everything that is served beside the webhooks."""
    map_file = tmp_path / "ownership.yaml"
    map_file.write_text(MAP, encoding="utf-8")
    metrics = Metrics()
    store = Store(f"sqlite:///{tmp_path / 'router.db'}", append=inbox.append, metrics=metrics)
    api = Api(
        store=store,
        ownership=ActiveMap(map_file, clock=lambda: NOW, metrics=metrics),
        health=SlackHealth(),
        metrics=metrics,
        clock=lambda: NOW,
        draining=lambda: False,
        map_changed=lambda: None,
        replayed=lambda: None,
        drawn=lambda: 0,
        actions=ActionInbox(store=store, wake=lambda: None),
        signing_secret="secret",
    )
    guarded = api.app(admin_token=None, preview=Starlette())
    assert isinstance(guarded, OperatorsOnly)
    assert isinstance(guarded._app, Starlette)
    found = set()
    for route in guarded._app.routes:
        if isinstance(route, Mount):
            found.add(f"GET {route.path}/")
        else:
            assert isinstance(route, Route)
            found.update(f"{method} {route.path}" for method in (route.methods or set()) - {"HEAD"})
    return found


def webhook_paths() -> set[str]:
    methods = {source: {"POST", "PUT"} if source is Source.GRAFANA else {"POST"} for source in Source}
    return {f"{method} /webhooks/{source}" for source in Source for method in methods[source]}


def test_every_path_has_its_heading(api_paths: set[str]) -> None:
    """A path that is served is documented, and one that is documented is served."""
    headings = set(re.findall(r"^### `([A-Z]+ /[^`]*)`$", text_of(PAGE), re.MULTILINE))
    assert headings == api_paths | webhook_paths()


def test_every_answer_to_a_webhook_is_in_the_table() -> None:
    """The codes are those that are counted; 404 is counted apart, for a source that is none."""
    codes = {row[0] for row in rows(section(PAGE, "### Answers to webhooks"))}
    assert codes == {*INTAKE_CODES, "404"}


def test_every_reason_is_in_the_table() -> None:
    """What a verdict can say is explained, word for word."""
    sources = [PROJECT / "router/core/routing.py", PROJECT / "router/core/shares.py"]
    given = [name for path in sources for name in re.findall(r"Reason\.([A-Z_]+)", path.read_text(encoding="utf-8"))]
    table = rows(section(PAGE, "### `GET /api/v1/notifications/{id}`"))
    assert {code_in(row[0])[0] for row in table} == {Reason[name] for name in given}


def test_every_outcome_of_a_replay_is_in_the_table() -> None:
    """What can become of a dead letter is explained once, with the command."""
    table = rows(section("docs/reference/dead.md", "## `router dead replay`"))
    assert {code_in(row[0])[0].replace(" ", "_") for row in table} == set(Outcome) - {Outcome.DROPPED}


def test_every_key_of_a_replay_is_in_the_table() -> None:
    """A key that is taken is explained; three of them in the row of `all`."""
    told = code_in("".join(row[0] + row[1] for row in rows(section(PAGE, "### `POST /api/v1/dead-letters/replay`"))))
    assert set(ReplayQuestion.model_fields) <= set(told)


def test_the_examples_are_json() -> None:
    """Each JSON of the page can be read, and the sums of the status in it balance."""
    examples = [json.loads(example) for example in blocks(text_of(PAGE), "json")]
    assert len(examples) == 7
    status = examples[0]
    counted = status["notifications"]
    assert counted["accepted"] == sum(counted[state] for state in NotificationState)
    told = status["messages"]
    assert told["wanted"] == told["delivered"] + told["pending"] + told["superseded"] + told["dead"]
