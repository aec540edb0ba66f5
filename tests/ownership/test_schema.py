"""The schema for editors says what the loader says, as far as a schema can."""

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from jsonschema import Draft7Validator

from router.ownership_file.document import read_document
from router.ownership_file.json_schema import map_schema
from router.schema import schema
from tests.docs.pages import DOCS, PAGES, PROJECT, blocks
from tests.ownership.maps import HEAD, findings_of

COMMITTED = DOCS / "ownership.schema.json"
VALIDATOR = Draft7Validator(map_schema())


def told_of(text: str) -> list[str]:
    """What the schema says about a map; nothing if it is fine."""
    document = read_document(text.encode(), file="ownership.yaml")
    assert document.usable, document.findings
    return [error.message for error in VALIDATOR.iter_errors(document.value)]


def test_the_committed_schema_is_current() -> None:
    """It is what `router schema` prints; if not: router schema > docs/ownership.schema.json."""
    assert CliRunner().invoke(schema).stdout_bytes == COMMITTED.read_bytes()


def test_it_is_draft_7() -> None:
    """yaml-language-server documents draft 7 and below: no newer words, and only texts beside a `$ref`."""
    Draft7Validator.check_schema(map_schema())
    for node in _objects(map_schema()):
        assert not node.keys() & {"$defs", "prefixItems", "discriminator", "unevaluatedProperties", "nullable"}
        if isinstance(node.get("$ref"), str):
            assert node["$ref"].removeprefix("#/definitions/") in map_schema()["definitions"]
            assert node.keys() <= {"$ref", "title", "description", "examples", "default"}


def test_no_mapping_takes_unknown_keys() -> None:
    """A typing error such as `onwer` is told wherever keys are known."""
    closed = [node for node in _objects(map_schema()) if node.get("type") == "object" and "properties" in node]
    assert len(closed) > 10
    assert all(node["additionalProperties"] is False for node in closed)


def test_every_key_has_its_hover() -> None:
    """An editor says what each key is for."""
    schema_ = map_schema()
    shapes = {"": schema_} | schema_["definitions"]
    bare = [
        f"{shape}.{key}"
        for shape, node in shapes.items()
        for key, value in node.get("properties", {}).items()
        if not value.get("description")
    ]
    assert bare == []


def _objects(node: Any) -> Iterator[dict[str, Any]]:  # Any: JSON
    if isinstance(node, dict):
        yield node
        node = list(node.values())
    for part in node if isinstance(node, list) else []:
        yield from _objects(part)


# -- maps that load ------------------------------------------------------------------------------------------------


def _texts() -> Iterator[tuple[str, str]]:
    """Every text of the repository that may be a map, with where it stands."""
    for file in sorted([*PROJECT.glob("*.yaml"), *(PROJECT / "tests").rglob("*.yaml")]):
        yield file.relative_to(PROJECT).as_posix(), file.read_text(encoding="utf-8", errors="replace")
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for block in [*blocks(text, "yaml"), *re.findall(r"<<'EOF'\n(.*?)^EOF$", text, re.DOTALL | re.MULTILINE)]:
            yield page.relative_to(PROJECT).as_posix(), block
    for file in sorted((PROJECT / "tests").rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield file.relative_to(PROJECT).as_posix(), node.value


def test_every_map_of_the_repository(tmp_path: Path) -> None:
    """Each that loads validates: no editor marks a good map red."""
    path = tmp_path / "ownership.yaml"
    loaded = []
    for where, text in _texts():
        for candidate in dict.fromkeys([text, HEAD + text]):
            if re.search(r"^version: 1", candidate, re.MULTILINE) and "\n" in text and "include:" not in candidate:
                path.write_bytes(candidate.encode(errors="replace"))
                if not findings_of(path):
                    loaded.append(where)
                    assert told_of(candidate) == [], f"{where}:\n{candidate}"
    assert len(loaded) > 60
    assert {"ownership.yaml", "README.md", "docs/tutorial.md"} <= set(loaded)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("services:\n  refunds: {owner: payments}\n", id="entries alone"),
        pytest.param("version: 1\nscope: {namespace: pay}\nteams: {}\n", id="version and scope"),
        pytest.param("{}\n", id="empty"),
    ],
)
def test_the_file_of_a_team(text: str) -> None:
    """An included file needs neither version nor fallback."""
    assert told_of(text) == []


# -- maps that do not ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [
        pytest.param("onwers: {}", id="unknown key"),
        pytest.param("services: {refunds: {onwer: payments, owner: payments}}", id="unknown key of a service"),
        pytest.param("services: {refunds: {tier: 1}}", id="service without owner"),
        pytest.param("services: {refunds: {owner: payments, tier: 5}}", id="tier 5"),
        pytest.param("services: {refunds: {owner: payments, tier: '1'}}", id="tier as text"),
        pytest.param("services: {Refunds: {owner: payments}}", id="id in upper case"),
        pytest.param("services: [refunds]", id="list of services"),
        pytest.param("services: {refunds: {owner: payments, runbook: wiki/refunds}}", id="runbook without scheme"),
        pytest.param("services: {refunds: {owner: payments, severity: urgent}}", id="unknown level"),
        pytest.param("services: {refunds: {owner: payments, match: {}}}", id="match without labels"),
        pytest.param("services: {refunds: {owner: payments, match: []}}", id="match without matchers"),
        pytest.param("services: {refunds: {owner: payments, match: [namespace]}}", id="matcher without operator"),
        pytest.param("services: {refunds: {owner: payments, match: {namespace: 1}}}", id="label value as number"),
        pytest.param("services: {refunds: {owner: payments, match: {namespace: []}}}", id="label without values"),
        pytest.param("services: {refunds: {owner: payments, channel: pay-alerts}}", id="channel as text"),
        pytest.param("jobs: {close: {owner: payments, rerun: {safety: conditional}}}", id="conditional without when"),
        pytest.param(
            "jobs: {close: {owner: payments, rerun: {safety: unsafe, when: x, how: y}}}", id="unsafe with how"
        ),
        pytest.param("jobs: {close: {owner: payments, rerun: {when: now}}}", id="rerun without safety"),
        pytest.param("jobs: {close: {owner: payments, rerun: {safety: 'yes'}}}", id="unknown safety"),
        pytest.param("jobs: {close: {owner: payments, checkin: {schedule: '0 3 * * *'}}}", id="check-in without grace"),
        pytest.param("jobs: {close: {owner: payments, review: {last: 10-May-2026}}}", id="date in other words"),
        pytest.param("rules: [{match: {a: b}, owner: payments}]", id="rule without id"),
        pytest.param("rules: [{id: x, owner: payments}]", id="rule without match"),
        pytest.param("rules: [{id: x, match: {a: b}}]", id="rule without owner"),
        pytest.param("rules: [{id: x, match: {a: b}, drop: true}]", id="drop without reason"),
        pytest.param("rules: [{id: x, match: {a: b}, drop: false, reason: z}]", id="drop that does not"),
        pytest.param("rules: [{id: x, match: {a: b}, drop: true, reason: z, owner: payments}]", id="drop and owner"),
        pytest.param("overrides: [{id: x, match: {a: b}, owner: payments, reason: z}]", id="override without end"),
        pytest.param(
            "overrides: [{id: x, match: {a: b}, owner: payments, expires: 2026-12-01}]", id="override without reason"
        ),
        pytest.param("namespaces: {pay: Payments}", id="owner in upper case"),
        pytest.param("severities: {urgent: {from: [x]}}", id="level that is none"),
        pytest.param("severities: {high: {respond_within: 5}}", id="time without unit"),
        pytest.param("defaults: {escalate: {if_unacked: 2.5x}}", id="half a time"),
        pytest.param("severities: {high: {escalate: {if_repeats: 3 a day}}}", id="repeats in other words"),
        pytest.param("defaults: {escalate: {then: lead}}", id="a step that is no list"),
        pytest.param("defaults: {business_hours: 9-17}", id="hours in other words"),
        pytest.param("defaults: {language: fr}", id="unknown language"),
        pytest.param("resolve: [label, magic]", id="unknown stage"),
        pytest.param("tests: [{labels: {a: b}}]", id="test without expectation"),
        pytest.param("tests: [{labels: {a: 1}, expect: {}}]", id="label of a test as number"),
        pytest.param("include: teams/*.yaml", id="include as text"),
        pytest.param("org:", id="empty value"),
    ],
)
def test_defects(body: str, tmp_path: Path) -> None:
    """What has not the shape of a map is refused by the schema and by the loader."""
    path = tmp_path / "ownership.yaml"
    path.write_text(HEAD + body, encoding="utf-8")
    assert findings_of(path) != []
    assert told_of(HEAD + body) != []


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(HEAD.replace("version: 1", "version: 2"), id="version 2"),
        pytest.param(HEAD.replace("version: 1", ""), id="without version"),
        pytest.param(HEAD[: HEAD.index("teams:")], id="without teams"),
        pytest.param(HEAD.replace("fallback:", "defaults:"), id="fallback that is called something else"),
        pytest.param(HEAD.replace("  channel: {name: orphans, id: C0ORPHANS1}", ""), id="fallback without channel"),
        pytest.param(HEAD.replace("name: orphans", "name: '#orphans'"), id="channel with #"),
        pytest.param(HEAD.replace("id: C0ORPHANS1", "id: orphans"), id="channel without id"),
        pytest.param(HEAD + "  perf: {name: Performance}\n", id="team without channel"),
        pytest.param(HEAD + "  perf: {dissolved: 2026-03-31}\n", id="tombstone without successor"),
        pytest.param(HEAD.replace("critical:", "urgent:"), id="channel for a level that is none"),
        pytest.param("- version: 1\n", id="a list"),
    ],
)
def test_defects_of_the_head(text: str, tmp_path: Path) -> None:
    """As above, for what every map begins with."""
    path = tmp_path / "ownership.yaml"
    path.write_text(text, encoding="utf-8")
    assert findings_of(path) != []
    assert told_of(text) != []


def test_the_example_is_bound_to_it() -> None:
    """The first line of the example leads an editor to the committed schema, without a network."""
    line = (PROJECT / "ownership.yaml").read_text(encoding="utf-8").splitlines()[0]
    _, _, relative = line.partition("# yaml-language-server: $schema=")
    assert json.loads((PROJECT / relative).read_bytes()) == map_schema()
