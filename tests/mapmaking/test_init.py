"""`router init` proposes a map from the labels in rule files, or a small one to fill in."""

import re
from pathlib import Path
from textwrap import dedent, indent

import pytest
from click.testing import CliRunner, Result

from router.core.findings import FindingSeverity
from router.core.map_tests import failures
from router.core.model import Level
from router.core.ownership import OwnershipMap
from router.lint.linting import lint
from router.mapmaking.commands import init
from router.mapmaking.proposal import loaded
from router.ownership_file import load_map
from router.ownership_file.json_schema import schema_text
from tests.docs.pages import PROJECT
from tests.ownership.maps import TODAY


def rules_of(*alerts: str, group: str = "g") -> str:
    """A rule file; each alert is its name and its labels in braces."""
    listed = "".join(
        f"- alert: {name}\n  expr: up == 0\n  labels: {labels}\n"
        for name, _, labels in (alert.partition(" ") for alert in alerts)
    )
    return f"groups:\n- name: {group}\n  rules:\n{indent(listed, '  ')}"


def run_init(directory: Path, *arguments: str) -> Result:
    return CliRunner().invoke(init, ["--output", str(directory / "ownership.yaml"), *arguments])


def map_from(directory: Path, *alerts: str) -> tuple[OwnershipMap, Result]:
    (directory / "rules.yaml").write_text(rules_of(*alerts), encoding="utf-8")
    result = run_init(directory, "--rules", str(directory / "rules.yaml"))
    assert result.exit_code == 0, result.output
    return load_map(directory / "ownership.yaml"), result


@pytest.mark.parametrize("rules", [None, "kube", "shop"], ids=["no rules", "kube", "shop"])
def test_the_map_is_without_error(rules: str | None, tmp_path: Path) -> None:
    """It loads, its tests hold, lint finds no error, and tells each channel whose id is missing."""
    globs = ["--rules", str(PROJECT / "tests/data/rules" / rules / "rules" / "**")] if rules else []
    result = run_init(tmp_path, "--org", "Acme & Söhne", *globs)
    assert result.exit_code == 0, result.output
    ownership = load_map(tmp_path / "ownership.yaml")
    assert ownership.org == "Acme & Söhne"
    assert len(ownership.tests) in (1, 2, 3)
    assert failures(ownership, today=TODAY) == ()
    report = lint(tmp_path / "ownership.yaml", today=TODAY)
    assert report.count(FindingSeverity.ERROR) == 0
    assert {finding.code for finding in report.findings} <= {"OWN105", "OWN111", "OWN112", "OWN113"}
    placeholders = [finding.message for finding in report.findings if finding.code == "OWN111"]
    assert len(placeholders) == len(ownership.channels)


def test_it_is_bound_to_a_schema_beside_it(tmp_path: Path) -> None:
    """An editor needs no network."""
    run_init(tmp_path)
    first = (tmp_path / "ownership.yaml").read_text(encoding="utf-8").splitlines()[0]
    assert first == "# yaml-language-server: $schema=ownership.schema.json"
    assert (tmp_path / "ownership.schema.json").read_text(encoding="utf-8") == schema_text()


def test_the_examples_in_its_comments_load(tmp_path: Path) -> None:
    """What stands in comments below the teams of the starter can be taken out of them."""
    run_init(tmp_path)
    text = (tmp_path / "ownership.yaml").read_text(encoding="utf-8")
    _, _, below = text.partition("one of these names it:\n")
    ownership = loaded(text.replace(below, re.sub(r"^# ", "", below, flags=re.MULTILINE)))
    assert all((ownership.services, ownership.jobs, ownership.rules, ownership.namespaces))


# -- what is found -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("alerts", "label", "why"),
    [
        pytest.param(
            ["A {squad: x}", "B {squad: y}"], "squad", "100 % of the alerts have it", id="a word that is no default"
        ),
        pytest.param(
            ["A {team: x, owner: o}", "B {team: y}", "C {severity: page}"],
            "team",
            "67 % of the alerts have it, and none of the others is on more",
            id="the larger share",
        ),
        pytest.param(
            ["A {owner: everybody, team: x}", "B {owner: everybody, team: y}", "C {owner: everybody}"],
            "team",
            "67 % of the alerts have it, with 2 different values",
            id="one that tells owners apart",
        ),
        pytest.param(
            ["A {example_com_team: x}", "B {example_com_team: y}"],
            "example_com_team",
            "100 % of the alerts have it",
            id="a word of it",
        ),
        pytest.param(
            ["A {owner: x, team: x}", "B {owner: z, team: y}"],
            "team",
            "100 % of the alerts have it, and none of the others is on more",
            id="the more usual of equals",
        ),
    ],
)
def test_the_owners_label(alerts: list[str], label: str, why: str, tmp_path: Path) -> None:
    """The label that names owners is found and declared, and why it is that one is said."""
    ownership, result = map_from(tmp_path, *alerts)
    assert ownership.identity.owner_labels == (label,)
    assert f'- "{label}" names the owner: {why}\n' in result.stdout
    assert ownership.resolve({"alertname": "A", label: "x"}, today=TODAY).owner == "x"


def test_another_label_with_the_same_owners_comes_next(tmp_path: Path) -> None:
    """Most rules say `team`, one says `owner`, and means one of the same teams: it is no orphan."""
    ownership, result = map_from(tmp_path, "A {team: x}", "B {team: y}", "C {owner: x}", "D {namespace: n}")
    assert ownership.identity.owner_labels == ("team", "owner")
    assert '- "owner" names the same owners, and comes next: 25 % have it\n' in result.stdout
    assert ownership.resolve({"alertname": "C", "owner": "x"}, today=TODAY).owner == "x"
    assert ownership.tests[-1].labels == {"alertname": "D"}


def test_teams_are_the_words_of_the_label(tmp_path: Path) -> None:
    """One team for each, with the words as they are written as aliases; none for a word that means nobody."""
    ownership, _ = map_from(
        tmp_path,
        "A {team: Payments}",
        "B {team: payments}",
        "C {team: 'Data Platform'}",
        "D {team: 決済チーム}",
        "E {team: 物流チーム}",
        "F {team: unowned}",
        "G {team: '{{ $labels.team }}'}",
        "H {team: paymnts}",
    )
    for word, owner in [
        ("Payments", "payments"),
        ("payments", "payments"),
        ("Data Platform", "data-platform"),
        ("決済チーム", "unnamed"),
        ("物流チーム", "unnamed-2"),
        ("unowned", None),
        ("paymnts", "paymnts"),
    ]:
        assert ownership.resolve({"alertname": "X", "team": word}, today=TODAY).owner == owner
    assert len(ownership.teams) == 5
    assert 'paymnts: # 1 alert; TODO: or is this "payments"?' in (tmp_path / "ownership.yaml").read_text("utf-8")


def test_severities(tmp_path: Path) -> None:
    """A word that can be guessed joins the usual ones of its level; one that cannot is told."""
    ownership, result = map_from(
        tmp_path, "A {severity: SEV1}", "B {severity: critical}", "C {severity: purple}", "D {severity: warning}"
    )
    for word, level in [("SEV1", Level.CRITICAL), ("page", Level.CRITICAL), ("warning", Level.NORMAL)]:
        resolution = ownership.resolve({"alertname": "X", "severity": word}, today=TODAY)
        assert (resolution.hints.severity, resolution.drift) == (level, ())
    assert "SEV1 (1: critical, guessed)" in result.stdout
    assert '# TODO: "purple" is no severity' in (tmp_path / "ownership.yaml").read_text("utf-8")


def test_what_recurs_under_one_team(tmp_path: Path) -> None:
    """Namespaces and services that several alerts of one team name find it also for alerts without a label."""
    ownership, _ = map_from(
        tmp_path,
        "A {team: pay, namespace: pay-eu, service: refund-api}",
        "B {team: pay, namespace: pay-eu, service: refund-api}",
        "C {team: pay, namespace: shared, service: once}",
        "D {team: web, namespace: shared, service: UPPER}",
        "E {team: web, service: UPPER}",
    )
    assert {name.key: name.owner for name in ownership.namespaces} == {"pay-eu": "pay"}
    assert {name: service.owner for name, service in ownership.services.items()} == {"refund-api": "pay"}


def test_heartbeats_are_dropped(tmp_path: Path) -> None:
    """Alerts that always fire reach nobody, unless their rule names somebody who wants them."""
    ownership, _ = map_from(tmp_path, "Watchdog {severity: none}", "DiskFull {team: storage}", "B {team: web}")
    assert ownership.resolve({"alertname": "Watchdog"}, today=TODAY).dropped
    ownership, _ = map_from(_new(tmp_path), "Watchdog {team: storage}", "B {team: web}")
    assert ownership.rules == ()


def _new(directory: Path) -> Path:
    (directory / "other").mkdir()
    return directory / "other"


def test_alerts_without_an_owner_are_told(tmp_path: Path) -> None:
    """With the groups in which they are, because those often are one team's."""
    (tmp_path / "a.yaml").write_text(rules_of("A {team: x}", "B {team: y}"), encoding="utf-8")
    (tmp_path / "b.yaml").write_text(rules_of("C {}", "D {}", group="etl"), encoding="utf-8")
    result = run_init(tmp_path, "--rules", str(tmp_path / "*.yaml"))
    assert "without an owner, for the fallback: 2 alerts; by rule group: etl (2)" in result.stdout


# -- what goes wrong -----------------------------------------------------------------------------------------------


def test_a_map_is_never_overwritten(tmp_path: Path) -> None:
    """What is there stays, and the message says what to do."""
    (tmp_path / "ownership.yaml").write_text("precious\n", encoding="utf-8")
    result = run_init(tmp_path)
    assert (result.exit_code, "move it away, or name another one with --output" in result.stderr) == (2, True)
    assert (tmp_path / "ownership.yaml").read_text(encoding="utf-8") == "precious\n"


def test_a_dangling_link_is_not_followed(tmp_path: Path) -> None:
    """It would write where nobody looks."""
    (tmp_path / "ownership.yaml").symlink_to(tmp_path / "elsewhere.yaml")
    assert run_init(tmp_path).exit_code == 2
    assert not (tmp_path / "elsewhere.yaml").exists()


def test_no_alert_rule(tmp_path: Path) -> None:
    """Nothing is written where the globs find none, and every glob that finds no file is named."""
    result = run_init(tmp_path, "--rules", str(tmp_path / "nothing/*.yaml"))
    assert result.exit_code == 2
    assert "nothing/*.yaml: no file" in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    """It is named with the place, and the others count."""
    (tmp_path / "a.yaml").write_text(rules_of("A {team: x}", "B {team: y}"), encoding="utf-8")
    (tmp_path / "b.yaml").write_text("groups: [\n", encoding="utf-8")
    result = run_init(tmp_path, "--rules", str(tmp_path / "*.yaml"))
    assert result.exit_code == 0
    assert re.search(r"b\.yaml:1:\d+: not read from here on: ", result.stderr)
    assert set(load_map(tmp_path / "ownership.yaml").teams) == {"x", "y"}


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    """The message names it."""
    result = run_init(tmp_path / "missing")
    assert result.exit_code == 2
    assert "cannot be written: No such file or directory" in result.stderr


def test_words_cannot_break_out(tmp_path: Path) -> None:
    """Whatever stands in a label is text in the map, in comments too."""
    words = ['"x\\nteams: {}"', '"# \\u2028 {a: b}"', "'[*]'", '"\\e[31m"', '"it\'s \\"x\\""', "'yes'", "'1e5'"]
    ownership, _ = map_from(tmp_path, *(f"A{n} {{team: {word}, severity: {word}}}" for n, word in enumerate(words)))
    assert len(ownership.teams) == len(words)
    for word in ["x\nteams: {}", "# \u2028 {a: b}", "[*]", "\x1b[31m", 'it\'s "x"', "yes", "1e5"]:
        assert ownership.resolve({"alertname": "X", "team": word}, today=TODAY).owner is not None, word


def test_the_text_of_a_map(tmp_path: Path) -> None:
    """It is written for people: this is all of it."""
    map_from(
        tmp_path,
        "CheckoutSlow {team: Payments, severity: page, namespace: pay}",
        "CheckoutDown {team: Payments, severity: critical, namespace: pay}",
        "DiskFull {team: storage, severity: warning}",
        "Watchdog {severity: none}",
    )
    assert (tmp_path / "ownership.yaml").read_text(encoding="utf-8") == dedent("""\
        # yaml-language-server: $schema=ownership.schema.json
        # Who owns which alert. The first evidence that names a team counts, in this order: an override, a label on
        # the alert, the job, the service, a rule, the namespace. What nobody owns goes to the fallback.

        # Proposed from the labels of 4 alert rules:
        # - "team" names the owner: 75 % of the alerts have it
        # - severities: page (1: critical), critical (1: critical), warning (1: normal), none (1: ignore)
        version: 1

        # The label whose value is a team's id, or one of its aliases.
        identity:
          owner_labels: [team]

        defaults:
          timezone: UTC # TODO: where the teams work, as in Asia/Tokyo

        fallback: # alerts that nobody owns, and what cannot be delivered
          channel: {name: unowned-alerts, id: C0CHANGEME1} # TODO: the channel's id
          # mention: S0OPSDUTY1 # TODO: whom these messages call, the id of a user group

        teams:
          payments: # 2 alerts
            channel: {name: payments-alerts, id: C0CHANGEME2} # TODO: the channel's id
            aliases: [Payments]
          storage: # 1 alert
            channel: {name: storage-alerts, id: C0CHANGEME3} # TODO: the channel's id

        rules: # from top to bottom, the first match counts
          - id: heartbeats
            match: {alertname: Watchdog}
            drop: true # reaches nobody, and is counted
            reason: "these fire always, or only to inhibit others; TODO: say who watches that they do"

        namespaces: # the last resort
          pay: payments

        tests: # examples that must stay true: `router lint` runs them
          - labels: {alertname: CheckoutSlow, severity: page, team: Payments}
            expect: {owner: payments, via: label/team, severity: critical}
          - labels: {alertname: DiskFull, severity: warning, team: storage}
            expect: {owner: storage, via: label/team, severity: normal}
          - labels: {alertname: Example}
            expect: {owner: null, via: fallback}
        """)
