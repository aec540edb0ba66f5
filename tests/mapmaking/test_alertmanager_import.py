"""A routing tree becomes a map that owns what the tree routes; what the map does not say is told."""

import re
import subprocess
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest
from click.testing import CliRunner, Result
from hypothesis import example, given, settings
from hypothesis import strategies as st

from router.core.findings import FindingSeverity
from router.core.matchers import Matcher, Operator, parse_matchers
from router.lint.linting import lint
from router.mapmaking.alertmanager_config import AlertmanagerConfig, Receiver, Route, read_config
from router.mapmaking.commands import import_map
from router.mapmaking.conversion import converted
from router.mapmaking.proposal import loaded, map_text
from router.mapmaking.tree import covers, receiving, simplified
from router.mapmaking.verification import label_sets, verified
from tests.ownership.maps import TODAY, findings_of
from tests.programs import path_of

TREES: Final = sorted((Path(__file__).parent / "trees").glob("*.yml"))
by_name = pytest.mark.parametrize("tree", TREES, ids=lambda path: path.stem)


def run_import(tree: Path, output: Path) -> Result:
    return CliRunner().invoke(import_map, ["alertmanager", str(tree), "--output", str(output)])


# -- the tree, against Alertmanager's own program ------------------------------------------------------------------


@pytest.mark.needs("amtool")
@by_name
def test_the_tree_is_alertmanagers(tree: Path) -> None:
    """For every label set by which a map is verified, the receivers are those that amtool names."""
    config = read_config(tree)
    asked = label_sets(config.root)
    assert len(asked) >= 8
    for labels in asked:
        told = [route.receiver for route in receiving(config.root, labels)]
        assert told == receivers_by_amtool(tree, labels), labels


def receivers_by_amtool(tree: Path, labels: Mapping[str, str]) -> list[str]:
    arguments = [f'{name}="{value}"' for name, value in labels.items()]
    done = subprocess.run(
        [path_of("amtool"), "config", "routes", "test", f"--config.file={tree}", *arguments],
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    return done.stdout.strip().split(",")


# -- the map, against the tree -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("tree", "agreeing", "several"),
    [("kube-prometheus", 8, 0), ("severity-by-team", 74, 0), ("continue", 3, 36)],
)
def test_the_map_agrees_with_the_tree(tree: str, agreeing: int, several: int, tmp_path: Path) -> None:
    """On every label set the map's owner is whom Alertmanager tells, or one of those if it tells several."""
    result = run_import(Path(__file__).parent / "trees" / f"{tree}.yml", tmp_path / "ownership.yaml")
    assert result.exit_code == 0, result.output
    assert (
        f"verified on {agreeing + several} label sets: {agreeing} agree, {several} cannot be expressed" in result.stdout
    )


def test_a_wrong_map_is_found_out() -> None:
    """The verification walks every route, and sees rules in another order and a rule that is missing."""
    config = read_config(Path(__file__).parent / "trees" / "severity-by-team.yml")
    conversion = converted(config)
    rules = conversion.proposal.rules
    for wrong in [rules[::-1], rules[1:], rules[:-1]]:
        ownership = loaded(map_text(replace(conversion.proposal, rules=wrong)))
        verification = verified(config, conversion, ownership, today=TODAY)
        assert verification.disagreements
        assert verification.unwalked == ()
        assert verification.asked == verification.agreeing + verification.several + len(verification.disagreements)


@by_name
def test_lint_finds_no_error(tree: Path, tmp_path: Path) -> None:
    """The imported map loads, and lint has nothing worse than warnings; every placeholder is one of them."""
    output = tmp_path / "ownership.yaml"
    run_import(tree, output)
    assert findings_of(output) == []
    report = lint(output, today=TODAY)
    assert report.count(FindingSeverity.ERROR) == 0
    placeholders = [finding for finding in report.findings if finding.code == "OWN111"]
    assert len(placeholders) == output.read_text(encoding="utf-8").count("id: C0CHANGEME")


def test_the_pitfall(tmp_path: Path) -> None:
    """A team's route that has no child for this severity answers itself; what stands below is not asked."""
    output = tmp_path / "ownership.yaml"
    run_import(Path(__file__).parent / "trees" / "severity-by-team.yml", output)
    ownership = loaded(output.read_text(encoding="utf-8"))
    for labels, owner, dropped in [
        ({"team": "platform", "severity": "critical"}, "platform", False),
        ({"team": "platform", "severity": "high"}, None, True),
        ({"team": "payments", "severity": "high"}, "payments", False),
        ({"severity": "critical"}, "ops-pager", False),
        ({"team": "data-eng", "severity": "none"}, None, False),
        ({"team": "unheard-of"}, None, False),
    ]:
        resolution = ownership.resolve(labels, today=TODAY)
        assert (resolution.owner, resolution.dropped) == (owner, dropped), labels


@pytest.mark.parametrize(
    ("labels", "owner"),
    [
        pytest.param({"team": "storage", "severity": "critical"}, "storage", id="a later route owns it, not its pager"),
        pytest.param({"team": "web", "severity": "critical"}, "pager", id="no later route but the archive"),
        pytest.param(
            {"team": "web", "env": "test", "severity": "critical"}, "pager", id="the later route tells nobody"
        ),
        pytest.param({"alertname": "Watchdog"}, "archive", id="only the archive is told"),
        pytest.param({"team": "storage", "alertname": "DiskFull"}, "disks", id="a child of a route"),
        pytest.param({"team": "web", "alertname": "KubeNodeDown"}, "platform", id="the archive comes last"),
        pytest.param({"team": "web"}, "archive", id="nothing else"),
    ],
)
def test_continue(labels: dict[str, str], owner: str, tmp_path: Path) -> None:
    """Of several receivers the most telling one owns the alert; none is dropped that reached somebody."""
    output = tmp_path / "ownership.yaml"
    run_import(Path(__file__).parent / "trees" / "continue.yml", output)
    assert loaded(output.read_text(encoding="utf-8")).resolve(labels, today=TODAY).owner == owner


# -- any tree ------------------------------------------------------------------------------------------------------

MATCHERS: Final = [
    *parse_matchers('a="1"'), *parse_matchers('a="2"'), *parse_matchers('a=~"1|2"'), *parse_matchers('a!="1"'),
    *parse_matchers('a=~"1.*"'), *parse_matchers('b="1"'), *parse_matchers('b=""'), *parse_matchers('b!~"1|2"'),
    *parse_matchers('b=~".+"'), *parse_matchers('c=~"x|y"'),
]  # fmt: skip
RECEIVERS: Final = ["one", "two", "three", "silent"]


def routes(depth: int) -> st.SearchStrategy[Route]:
    return st.builds(
        lambda receiver, matchers, continues, below: Route(
            receiver=receiver,
            matchers=tuple(matchers),
            continues=continues,
            labels={},
            routes=tuple(below),
            line=1,
            column=1,
        ),
        st.sampled_from(RECEIVERS),
        st.lists(st.sampled_from(MATCHERS), max_size=2),
        st.booleans() if depth < 3 else st.just(False),
        st.lists(routes(depth - 1), max_size=3) if depth else st.just([]),
    )


def config_of(root: Route) -> AlertmanagerConfig:
    return AlertmanagerConfig(
        file="alertmanager.yml",
        root=Route(receiver="one", matchers=(), continues=False, labels={}, routes=root.routes, line=1, column=1),
        receivers={
            name: Receiver(name=name, channels=(f"#{name}",), sends=name != "silent", line=1, column=1)
            for name in RECEIVERS
        },
        notes=(),
    )


@settings(max_examples=150, deadline=None)
@given(
    root=routes(3),
    asked=st.lists(
        st.fixed_dictionaries({}, optional={name: st.sampled_from(["1", "2", "12", "x"]) for name in "abc"}), max_size=8
    ),
)
def test_any_tree(root: Route, asked: list[dict[str, str]]) -> None:
    """Whom the map names is told by Alertmanager too, for label sets of the verification and for others."""
    config = config_of(root)
    conversion = converted(config)
    ownership = loaded(map_text(conversion.proposal))
    verification = verified(config, conversion, ownership, today=TODAY)
    assert [
        wrong for wrong in verification.disagreements if len(wrong.told) == 1 or wrong.owner not in wrong.told
    ] == []
    for labels in asked:
        found = receiving(config.root, labels)
        told = {
            None if route is config.root or route.receiver == "silent" else conversion.teams.told_by(route).id  # type: ignore[union-attr]  # the others send
            for route in found
        }
        assert ownership.resolve(labels, today=TODAY).owner in told, labels


@pytest.mark.parametrize(
    ("matchers", "expected"),
    [
        pytest.param(['a="1"', 'a=~"1|2"'], 'a="1"', id="narrower"),
        pytest.param(['a=~"2|1"', 'a!="1"'], 'a="2"', id="one of two taken away"),
        pytest.param(['a="1"', 'a="2"'], None, id="nothing fits"),
        pytest.param(['a=~"1.*"', 'a=~"1.*"'], 'a=~"1.*"', id="said twice"),
        pytest.param(['a=~"1.*"', 'b!="2"'], 'a=~"1.*" b!="2"', id="nothing to simplify"),
    ],
)
def test_simplified(matchers: list[str], expected: str | None) -> None:
    """Fewer matchers for the same alerts, or the word that there are none."""
    found = simplified([matcher for text in matchers for matcher in parse_matchers(text)])
    assert (None if found is None else " ".join(map(str, found))) == expected


@pytest.mark.parametrize(
    ("earlier", "later", "covered"),
    [
        ("", 'a="1"', True),
        ('a="1"', 'a="1",b="2"', True),
        ('a=~"1|2"', 'a="1"', True),
        ('a="1"', 'a=~"1|2"', False),
        ('a!="2"', 'a="1"', True),
        ('a!=""', 'a=~".+"', False),
        ('a="1",b="2"', 'a="1"', False),
    ],
)
def test_covers(earlier: str, later: str, covered: bool) -> None:
    """Only what is surely taken is said to be taken."""
    assert covers(parse_matchers(earlier), parse_matchers(later)) is covered


# -- what is told --------------------------------------------------------------------------------------------------


@by_name
def test_what_the_map_does_not_say(tree: Path, tmp_path: Path) -> None:
    """Each place of the configuration that has no counterpart is on stderr and in the map, with its line."""
    output = tmp_path / "ownership.yaml"
    result = run_import(tree, output)
    lines = tree.read_text(encoding="utf-8").splitlines()
    written = output.read_text(encoding="utf-8")
    told: dict[int, str] = {}
    for note in result.stderr.splitlines():
        place = re.search(r"\.yml:(\d+):(\d+): ", note)
        assert place is not None, note
        assert len(lines[int(place[1]) - 1]) >= int(place[2])
        told[int(place[1])] = told.get(int(place[1]), "") + note
        assert note in written
    untold = [
        (number, line)
        for number, line in enumerate(lines, start=1)
        if re.search(
            r"(webhook|pagerduty|opsgenie|email)_configs: \[|continue:|mute_time|\{\{|@somebody|#incidents", line
        )
        and not any(number - 1 <= place <= number for place in told)
    ]
    assert untold == []


def test_no_secret_is_taken_over(tmp_path: Path) -> None:
    """Addresses, keys and tokens of receivers appear nowhere."""
    tree = tmp_path / "alertmanager.yml"
    tree.write_text(
        "global: {slack_api_url: 'https://hooks.slack.com/services/T0/B0/hush1'}\n"
        "route: {receiver: pay}\n"
        "receivers:\n"
        "- name: pay\n"
        "  slack_configs: [{channel: '#pay', api_url: 'https://hooks.slack.com/services/T0/B0/hush2'}]\n"
        "  pagerduty_configs: [{routing_key: hush3}]\n"
        "  webhook_configs: [{url: 'https://user:hush4@example.com'}]\n",
        encoding="utf-8",
    )
    output = tmp_path / "ownership.yaml"
    result = run_import(tree, output)
    assert result.exit_code == 0
    assert "hush" not in result.output + output.read_text(encoding="utf-8")


def test_labels_of_routes(tmp_path: Path) -> None:
    """Since 0.34 a route can attach labels: a team there is the owner, whichever receiver it shares."""
    tree = tmp_path / "alertmanager.yml"
    tree.write_text(
        """\
route:
  receiver: router
  routes:
    - matchers: ['namespace=~"pay.*"']
      labels: {team: Payments, tier: "1"}
      routes:
        - matchers: [severity="info"]
          labels: {team: '{{ .CommonLabels.team }}'}
    - matchers: [namespace="etl"]
      labels: {support_group: data}
receivers:
  - name: router
    webhook_configs: [{url: http://router.example.com/webhooks/alertmanager}]
""",
        encoding="utf-8",
    )
    output = tmp_path / "ownership.yaml"
    result = run_import(tree, output)
    assert result.exit_code == 0, result.output
    ownership = loaded(output.read_text(encoding="utf-8"))
    for labels, owner in [
        ({"namespace": "pay-eu"}, "payments"),
        ({"namespace": "pay-eu", "severity": "info"}, "router"),
        ({"namespace": "etl"}, "data"),
        ({"namespace": "web"}, None),
    ]:
        assert ownership.resolve(labels, today=TODAY).owner == owner
    assert "alertmanager.yml:4:7: labels: tier: they come with each notification" in result.stderr
    assert "alertmanager.yml:7:11: labels: team: they come with each notification" in result.stderr


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("route: [\n", ":1:1: did not find", id="not YAML"),
        pytest.param("- a\n", ":1:1: the file must be a mapping", id="a list"),
        pytest.param("receivers: []\n", ':1:1: "route" is missing', id="no route"),
        pytest.param("route: {}\n", ":1:8: the root route needs a receiver", id="no receiver"),
        pytest.param(
            "route: {receiver: x}\nreceivers: [{name: y}]\n", ':1:19: receiver "x" is not in receivers', id="unknown"
        ),
        pytest.param(
            "route:\n  receiver: x\n  routes: [{matchers: ['a=~\"(\"']}]\nreceivers: [{name: x}]\n",
            ':3:24: matcher "a=~"("": regular expression',
            id="not a regular expression",
        ),
        pytest.param(
            "route: {receiver: x, match: {a: b}}\nreceivers: [{name: x}]\n",
            ":1:8: the root route takes everything",
            id="matchers at the root",
        ),
        pytest.param(
            "a0: &a0 {receiver: x}\n"
            + "".join(f"a{n}: &a{n} {{routes: [*a{n - 1}, *a{n - 1}]}}\n" for n in range(1, 30))
            + "route: {receiver: x, routes: [*a29]}\nreceivers: [{name: x}]\n",
            "more than 10,000 routes",
            id="aliases that multiply",
        ),
        pytest.param(
            "a0: &a0 {receiver: x}\n"
            + "".join(f"a{n}: &a{n} {{routes: [*a{n - 1}]}}\n" for n in range(1, 500))
            + "route: {receiver: x, routes: [*a499]}\nreceivers: [{name: x}]\n",
            "64 deep",
            id="aliases that nest",
        ),
    ],
)
def test_what_is_no_configuration(text: str, message: str, tmp_path: Path) -> None:
    """It is refused with its place, and no map is written."""
    tree, output = tmp_path / "alertmanager.yml", tmp_path / "ownership.yaml"
    tree.write_text(text, encoding="utf-8")
    result = run_import(tree, output)
    assert result.exit_code == 2
    assert message in result.stderr
    assert not output.exists()


def test_a_map_is_never_overwritten(tmp_path: Path) -> None:
    """Neither is the schema beside it."""
    output, schema = tmp_path / "ownership.yaml", tmp_path / "ownership.schema.json"
    output.write_text("precious\n", encoding="utf-8")
    result = run_import(TREES[0], output)
    assert result.exit_code == 2
    assert "is there already" in result.stderr
    assert output.read_text(encoding="utf-8") == "precious\n"
    output.unlink()
    schema.write_text("{}", encoding="utf-8")
    assert run_import(TREES[0], output).exit_code == 0
    assert schema.read_text(encoding="utf-8") == "{}"


def test_a_name_cannot_break_out(tmp_path: Path) -> None:
    """Whatever a receiver is called, the map is the one that was meant."""
    tree = tmp_path / "alertmanager.yml"
    name = r'"x\nteams: {}\n# \"quoted\" \u2028 日本"'
    tree.write_text(
        f"route:\n  receiver: ops\n  routes: [{{receiver: {name}, match: {{a: {name}}}}}]\n"
        f"receivers: [{{name: ops}}, {{name: {name}, slack_configs: [{{channel: {name}}}]}}]\n",
        encoding="utf-8",
    )
    output = tmp_path / "ownership.yaml"
    result = run_import(tree, output)
    assert result.exit_code == 0, result.output
    assert "verified on" in result.stdout
    assert len(loaded(output.read_text(encoding="utf-8")).teams) == 1


@settings(max_examples=150, deadline=None)
@example([("Y", "", "", "0"), ("y", "", "", "")])
@given(st.lists(st.tuples(st.text(min_size=1, max_size=20), *[st.text(max_size=20)] * 3), min_size=1, max_size=4))
def test_any_words(words: list[tuple[str, str, str, str]]) -> None:
    """Whatever names, channels, labels and values are, the map loads and agrees."""
    receivers = {
        name: Receiver(name=name, channels=(channel,), sends=True, line=1, column=1) for name, channel, _, _ in words
    }
    root = Route(
        receiver=words[0][0],
        matchers=(),
        continues=False,
        labels={},
        routes=tuple(
            Route(
                receiver=name,
                matchers=(Matcher.of(label or "a", Operator.EQUAL, value),),
                continues=False,
                labels={"tier": value},
                routes=(),
                line=1,
                column=1,
            )
            for name, _, label, value in words
        ),
        line=1,
        column=1,
    )
    config = AlertmanagerConfig(file="alertmanager.yml", root=root, receivers=receivers, notes=())
    conversion = converted(config)
    ownership = loaded(map_text(conversion.proposal))
    assert verified(config, conversion, ownership, today=TODAY).disagreements == ()


def test_a_large_tree(tmp_path: Path) -> None:
    """Three hundred teams with their severities: imported and verified while somebody waits."""
    teams = "".join(
        f"    - match: {{team: team-{n}}}\n      receiver: r{n}\n      routes:\n"
        f'        - matchers: [severity=~"critical|page"]\n          receiver: p{n}\n'
        f'        - matchers: [severity="warning", namespace!~"dev-.*"]\n'
        for n in range(300)
    )
    receivers = "".join(
        f"  - name: {kind}{n}\n    slack_configs: [{{channel: '#{kind}{n}'}}]\n" for n in range(300) for kind in "rp"
    )
    tree = tmp_path / "alertmanager.yml"
    tree.write_text(
        f"route:\n  receiver: r0\n  routes:\n{teams}receivers:\n{receivers}".replace(
            '[severity="warning", namespace!~"dev-.*"]', "['severity=\"warning\"', 'namespace!~\"dev-.*\"']"
        ),
        encoding="utf-8",
    )
    result = run_import(tree, tmp_path / "ownership.yaml")
    assert result.exit_code == 0, result.stderr[-500:]
    assert "agree, 0 cannot be expressed" in result.stdout


def test_the_matchers_stay_what_they_were() -> None:
    """Sets of values are written as labels; anything else as Alertmanager's matchers, in quotes."""
    config = config_of(
        Route(
            receiver="one",
            matchers=(),
            continues=False,
            labels={},
            routes=(
                Route(
                    receiver="two",
                    matchers=(Matcher.of("a", Operator.MATCHES, "1|2"), Matcher.of("b", Operator.EQUAL, "")),
                    continues=False,
                    labels={},
                    routes=(),
                    line=7,
                    column=1,
                ),
                Route(
                    receiver="two",
                    matchers=(Matcher.of("a", Operator.NOT_EQUAL, 'it\'s "3"'),),
                    continues=False,
                    labels={},
                    routes=(),
                    line=9,
                    column=1,
                ),
            ),
            line=1,
            column=1,
        )
    )
    text = map_text(converted(config).proposal)
    assert '  - id: two # alertmanager.yml:7\n    match: {a: ["1", "2"], b: ""}\n' in text
    assert loaded(text).rules[1].match == (Matcher.of("a", Operator.NOT_EQUAL, 'it\'s "3"'),)
