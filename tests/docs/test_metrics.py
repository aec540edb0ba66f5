"""docs/reference/metrics.md has every metric and every log line, and no other."""

import ast
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from prometheus_client.metrics import MetricWrapperBase

from router.telemetry import Metrics
from tests.docs.pages import PROJECT, blocks, code_in, rows, section, text_of
from tests.programs import path_of

PAGE = "docs/reference/metrics.md"
LEVELS = frozenset({"debug", "info", "warning", "error", "critical", "exception"})


def registered() -> dict[str, tuple[str, tuple[str, ...]]]:
    """Of each metric, by its name in the exposition: its type and its labels."""
    found = {}
    for collector in Metrics().registry._collector_to_names:
        assert isinstance(collector, MetricWrapperBase)
        assert collector._type is not None
        suffix = "_total" if collector._type == "counter" else ""
        found[collector._name + suffix] = (collector._type, tuple(collector._labelnames))
    return found


def test_every_metric_is_in_the_table_and_no_other() -> None:
    """Name, type and labels are those that are registered."""
    table = {code_in(row[0])[0]: row for row in rows(section(PAGE, "## Metrics")) if row[0].startswith("`router_")}
    assert {name: (row[1], tuple(code_in(row[2]))) for name, row in table.items()} == registered()


def test_the_alerts_ask_for_metrics_that_exist() -> None:
    """The rules to paste are YAML, and every metric in them is registered."""
    (rules,) = (block for block in blocks(text_of(PAGE), "yaml") if "groups:" in block)
    expressions = [rule["expr"] for group in yaml.safe_load(rules)["groups"] for rule in group["rules"]]
    asked = {word for expression in expressions for word in words(expression) if word.startswith("router_")}
    assert asked
    assert asked <= set(registered())


@pytest.mark.needs("promtool")
def test_prometheus_takes_the_alerts(tmp_path: Path) -> None:
    """promtool finds no fault in the rules to paste."""
    (rules,) = (block for block in blocks(text_of(PAGE), "yaml") if "groups:" in block)
    file = tmp_path / "rules.yml"
    file.write_text(rules, encoding="utf-8")
    checked = subprocess.run([path_of("promtool"), "check", "rules", str(file)], check=False, capture_output=True)
    assert checked.returncode == 0, checked.stdout + checked.stderr


def words(expression: str) -> list[str]:
    return "".join(letter if letter.isalnum() or letter == "_" else " " for letter in expression).split()


def logged() -> Iterator[tuple[str, str]]:
    """Each event of the router with its level, from the calls in the source."""
    for module in (PROJECT / "router").rglob("*.py"):
        for call in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
            if not (isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and call.args):
                continue
            event, on = call.args[0], ast.unparse(call.func.value)
            if not (isinstance(event, ast.Constant) and isinstance(event.value, str)):
                continue
            if on in ("log", "self._log") and call.func.attr in LEVELS:
                yield event.value, "error" if call.func.attr == "exception" else call.func.attr
            elif on == "self" and call.func.attr == "_warn":
                yield event.value, "warning"


def test_every_log_line_is_in_the_table_and_no_other() -> None:
    """Name and level are those of the source."""
    table = rows(section(PAGE, "## Log lines"))
    documented = {
        (event, level) for row in table for event in code_in(row[0]) for level in row[1].replace(" ", "").split(",")
    }
    assert documented == set(logged())


@pytest.mark.parametrize(
    "page", ["docs/how-to/what-became-of-it.md", "docs/how-to/slack.md", "docs/how-to/alertmanager.md"]
)
def test_a_how_to_names_only_what_exists(page: str) -> None:
    """Metrics and log lines that somebody is told to look for."""
    events = {event for event, _ in logged()}
    suspects = {word for code in code_in(text_of(page)) for word in words(code)}
    assert {word for word in suspects if word.startswith("router_")} <= set(registered())
    assert {word for word in suspects if word.startswith(("notification_", "message_", "delivery_", "store_"))} <= (
        events | {"notification_reason"}
    )
