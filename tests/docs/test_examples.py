"""What the pages tell somebody to paste works."""

import json
import re
import subprocess
from pathlib import Path

import pytest
import yaml

from router.core.model import Source
from router.intake.reading import read, shape_error
from router.ownership_file import load_map
from tests.docs.pages import DOCS, PAGES, PROJECT, blocks, section, text_of
from tests.house import START
from tests.programs import path_of

BODY = re.compile(r"/webhooks/(\w+)[^']*'(\{.*?\})'\n", re.DOTALL)
PLACEHOLDER = re.compile(r"/etc/alertmanager/[\w-]+")


def map_of(text: str, directory: Path) -> Path:
    file = directory / "ownership.yaml"
    file.write_text(text, encoding="utf-8")
    return file


def test_the_map_in_ten_lines(tmp_path: Path) -> None:
    """It has no more, it loads, and it does what the README says of it."""
    (text,) = blocks(section("README.md", "## A map in ten lines"), "yaml")
    assert len(text.splitlines()) <= 10
    ownership = load_map(map_of(text, tmp_path))
    owned = ownership.resolve({"alertname": "X", "team": "payments"}, {}, today=START.date(), route_labels={})
    assert [destination.channel.name for destination in owned.destinations] == ["pay-alerts"]
    orphan = ownership.resolve({"alertname": "X"}, {}, today=START.date(), route_labels={})
    assert [destination.channel.name for destination in orphan.destinations] == ["ops-orphans"]


def test_the_map_of_the_tutorial(tmp_path: Path) -> None:
    """It loads, and its own alert goes where the tutorial looks for it."""
    (text,) = re.findall(r"my-map\.yaml <<'EOF'\n(.*?)^EOF$", text_of("docs/tutorial.md"), re.DOTALL | re.MULTILINE)
    answer = load_map(map_of(text, tmp_path)).resolve(
        {"alertname": "CheckoutSlow", "namespace": "shop", "severity": "critical"},
        {},
        today=START.date(),
        route_labels={},
    )
    assert answer.owner == "payments"


@pytest.mark.parametrize(
    ("labels", "owner"),
    [
        pytest.param("namespace=batch job_name=nightly-export-29398765 severity=warning", "data-platform", id="first"),
        pytest.param("namespace=batch job_name=ledger-rollup-29398770 severity=critical", "data-platform", id="joins"),
        pytest.param("namespace=shop team=paymnts severity=warning", None, id="orphan"),
    ],
)
def test_the_alerts_of_the_tutorial(labels: str, owner: str | None) -> None:
    """With the example map each goes where the tutorial looks for it."""
    assert labels in text_of("docs/tutorial.md")
    named = dict(label.split("=") for label in labels.split())
    answer = load_map(PROJECT / "ownership.yaml").resolve(named, {}, today=START.date(), route_labels={})
    assert answer.owner == owner


def test_the_alert_of_the_readme_has_an_owner() -> None:
    """`make run` uses the example map, and the README shows the message in its owner's channel."""
    ((_, body),) = BODY.findall(text_of("README.md"))
    (alert,) = read(Source.ALERTMANAGER, body.encode()).alerts
    answer = load_map(PROJECT / "ownership.yaml").resolve(
        alert.labels, alert.annotations, today=START.date(), route_labels={}
    )
    assert answer.owner is not None


BODIES = [
    pytest.param(source, body, id=f"{page.name}-{number}")
    for page in PAGES
    for number, (source, body) in enumerate(BODY.findall(page.read_text(encoding="utf-8")))
]


def test_there_are_bodies() -> None:
    """A pattern that finds nothing would test nothing."""
    assert {parameter.id for parameter in BODIES} == {"README.md-0", "slack.md-0", "honeybadger.md-0"}


@pytest.mark.parametrize(("source", "body"), BODIES)
def test_every_body_to_paste_is_understood(source: str, body: str) -> None:
    """Each `curl` sends JSON that is a notification of its source, with an alert in it."""
    json.loads(body)
    assert shape_error(Source(source), body.encode()) is None
    assert len(read(Source(source), body.encode()).alerts) == 1


def configurations() -> list[str]:
    pages = [text_of("docs/how-to/alertmanager.md"), text_of("docs/tutorial.md")]
    found = [block for page in pages for block in blocks(page, "yaml") if block.startswith("route:")]
    return found + re.findall(r"alertmanager\.yml <<'EOF'\n(.*?)^EOF$", pages[1], re.DOTALL | re.MULTILINE)


@pytest.mark.needs("amtool")
@pytest.mark.parametrize("number", range(2))
def test_alertmanager_takes_its_configuration(number: int, tmp_path: Path) -> None:
    """amtool finds no fault in what the how-to and the tutorial give it."""
    found = configurations()
    assert len(found) == 2
    for secret in PLACEHOLDER.findall(found[number]):
        (tmp_path / Path(secret).name).write_text("secret", encoding="utf-8")
    file = tmp_path / "alertmanager.yml"
    file.write_text(PLACEHOLDER.sub(lambda secret: str(tmp_path / Path(secret[0]).name), found[number]), "utf-8")
    checked = subprocess.run(
        [path_of("amtool"), "check-config", str(file)], check=False, capture_output=True, text=True
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_the_slack_app_asks_for_what_is_used() -> None:
    """The manifest is YAML and asks for what docs/how-to/slack.md explains, and for no more."""
    manifest = yaml.safe_load((DOCS / "slack-app-manifest.yaml").read_text(encoding="utf-8"))
    explained = re.findall(r"`([a-z]+:[a-z]+)`", section("docs/how-to/slack.md", "## 1. Make the app"))
    assert sorted(manifest["oauth_config"]["scopes"]["bot"]) == sorted(explained)


def test_every_snippet_of_a_map_fits_a_map(tmp_path: Path) -> None:
    """The parts of maps that how-tos show load when teams and a fallback are put around them."""
    around = section("README.md", "## A map in ten lines")
    (base,) = blocks(around, "yaml")
    snippets = [
        block
        for page in sorted((DOCS / "how-to").glob("*.md"))
        for block in blocks(page.read_text(encoding="utf-8"), "yaml")
        if block.startswith(("rules:", "jobs:", "services:", "namespaces:"))
    ]
    assert len(snippets) == 3
    for snippet in snippets:
        load_map(map_of(f"{base}{snippet}", tmp_path))
