"""The loader: what a map may hold, and what is said about one that cannot be loaded."""

import os
import time
from pathlib import Path
from textwrap import dedent

import pytest

from router.core.errors import OwnershipFileInvalid
from router.core.findings import FindingSeverity
from router.core.model import Language, Level, Mention, Stage
from router.ownership_file import load_map, read_map, render_findings
from tests.ownership.maps import HEAD, a_map, ask, findings_of

TEAM = "{channel: {name: a, id: C0AAAAAAAA}}"
SMALL = f"version: 1\nfallback: {{channel: {{name: f, id: C0FFFFFFFF}}}}\nteams:\n  a: {TEAM}\n"


def told(path: Path, text: str | bytes) -> list[str]:
    """The findings about `text`, as line:column code."""
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return [f"{finding.line}:{finding.column} {finding.code}" for finding in findings_of(path)]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ownership.yaml"


# -- what loads ----------------------------------------------------------------------------------------------------


def test_a_useful_map_in_ten_lines(path: Path) -> None:
    """Teams with a channel and a fallback are enough; severities, deadlines and labels are the usual ones."""
    text = """\
    version: 1
    teams:
      payments:
        channel: {name: pay-alerts, id: C0PAYALERT}
      ledger:
        channel: {name: ledger-alerts, id: C0LEDGERAL}
    fallback:
      channel: {name: ops-orphans, id: C0ORPHANS1}
    """
    assert told(path, dedent(text)) == []
    ownership_map = load_map(path)
    resolution = ask(ownership_map, team="payments", severity="page")
    assert (resolution.owner, resolution.hints.severity, resolution.hints.respond_within) == (
        "payments",
        Level.CRITICAL,
        "15m",
    )
    payments = ownership_map.teams["payments"]
    assert (payments.timezone, payments.business_hours.days, payments.language) == ("UTC", (0, 1, 2, 3, 4), "en")
    assert ask(ownership_map, support_group="ledger").owner == "ledger"


def test_defaults_reach_the_teams() -> None:
    """What `defaults` says holds for teams that say nothing."""
    body = "defaults: {timezone: Asia/Tokyo, business_hours: 'Mon-Sat 10:00-19:00', language: ja}\n"
    ownership_map = a_map(body)
    team = ownership_map.teams["data"]
    assert (team.timezone, len(team.business_hours.days), team.language) == ("Asia/Tokyo", 6, Language.JAPANESE)
    assert (ownership_map.timezone, ownership_map.language) == ("Asia/Tokyo", Language.JAPANESE)


def test_identity_replaces_single_lists() -> None:
    """A list of `identity` replaces the usual one of its kind; an empty one turns the kind off."""
    ownership_map = a_map("identity: {owner_labels: [squad], namespace_labels: []}\nnamespaces: {pay: data}\n")
    assert ask(ownership_map, squad="data").owner == "data"
    assert ask(ownership_map, team="data", namespace="pay").owner is None


def test_words_as_written() -> None:
    """A scalar that YAML 1.1 reads as something else is the text as written."""
    ownership_map = a_map(
        "rules:\n  - {id: r, match: {a: [10:00, no, 0123, 1.10, 1e5, 0x1f, 2026-01-01]}, owner: data}\n"
    )
    for value in ("10:00", "no", "0123", "1.10", "1e5", "0x1f", "2026-01-01"):
        assert ask(ownership_map, a=value).via.stage is Stage.RULE
    assert ask(ownership_map, a="600").via.stage is Stage.FALLBACK


def test_unicode_stays() -> None:
    """Aliases and label values may be any text; columns count characters."""
    ownership_map = a_map("services:\n  shop: {owner: data, aliases: [決済チーム, 🙂], match: {サービス: 支払い}}\n")
    assert ask(ownership_map, service="🙂").owner == "data"
    assert ask(ownership_map, サービス="支払い").owner == "data"


def test_matchers_of_alertmanager_in_a_list() -> None:
    """A string of a `match` list may hold several matchers."""
    ownership_map = a_map("""rules:\n  - {id: r, match: ['{a="b",c=~"d|e"}', 'f!="g"'], owner: data}\n""")
    assert ask(ownership_map, a="b", c="e").owner == "data"
    assert ask(ownership_map, a="b", c="e", f="g").owner is None


def test_an_unknown_time_zone_is_a_warning() -> None:
    """It is told with its place, and stops nobody."""
    ownership_map = a_map("defaults: {timezone: Asia/Tokio}\n")
    (warning,) = ownership_map.warnings
    assert (warning.code, warning.line) == ("OWN601", HEAD.count("\n") + 1)


def test_one_person_as_mention_is_a_warning(path: Path) -> None:
    """Slack calls a person as it calls a group, so the map loads, and lint says what is wrong with it."""
    path.write_text(SMALL.replace("C0AAAAAAAA}}", "C0AAAAAAAA}, mention: U0PERSON01}"), encoding="utf-8")
    read = read_map(path)
    assert read.map is not None
    assert read.map.teams["a"].mention == Mention(handle="U0PERSON01")
    assert [(f.code, f.severity, f.line, f.column) for f in read.findings] == [
        ("OWN112", FindingSeverity.WARNING, 4, 52),
    ]


def test_revision_is_of_the_contents(path: Path) -> None:
    """The same text has the same revision wherever it stands, another text another one."""
    assert a_map().revision == a_map().revision
    assert a_map().revision != a_map("# a comment\n").revision
    assert len(a_map().revision) == 64


# -- include -------------------------------------------------------------------------------------------------------


def test_include() -> None:
    """Files are read in the order of their names; via and revision know them."""
    ownership_map = a_map(
        "include: ['team-*.yaml']\nrules:\n  - {id: first, match: {a: b}, owner: data}\n",
        **{
            "team-b": "rules:\n  - {id: third, match: {a: b}, owner: data}\n",
            "team-a": """\
                scope: {namespace: shop}
                teams:
                  shop: {channel: {name: shop, id: C0SHOPALER}}
                services:
                  cart: {owner: shop}
                rules:
                  - {id: second, match: {a: b}, owner: shop}
            """,
        },
    )
    assert [rule.id for rule in ownership_map.rules] == ["first", "second", "third"]
    via = ask(ownership_map, service="cart").via
    assert (via.file.rsplit("/", 1)[-1], via.line) == ("team-a.yaml", 5)


@pytest.mark.parametrize(
    ("include", "expected"),
    [
        pytest.param("nothing-*.yaml", "matches no file", id="no file"),
        pytest.param("../*.yaml", "must not contain ..", id="parent"),
        pytest.param("/etc/*.yaml", "relative to this file", id="absolute"),
        pytest.param("**/*.yaml", "within one path segment", id="recursive"),
        pytest.param("https://example.com/map.yaml", "beside this one", id="remote"),
        pytest.param("own*.yaml", "this file itself", id="itself"),
        pytest.param("link.yaml", "leads out of the folder", id="a link that leaves"),
        pytest.param("linked/team.yaml", "leads out of the folder", id="through a link that leaves"),
        pytest.param("circle.yaml", "leads back to itself", id="a link in a circle"),
        pytest.param("dangling.yaml", "leads to no file", id="a link to nothing"),
        pytest.param("folder", "write folder/*.yaml", id="a folder"),
        pytest.param("folder/*", "matches no file", id="an empty folder"),
        pytest.param("pipe.yaml", "not a file", id="a pipe"),
        pytest.param("null.yaml", "leads out of the folder", id="a device"),
        pytest.param("[", "matches no file", id="half a class"),
    ],
)
def test_what_cannot_be_included(
    include: str, expected: str, path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """An include that leads elsewhere or nowhere is told at its string."""
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    (elsewhere / "team.yaml").write_text("teams: {}\n", encoding="utf-8")
    folder = path.parent
    for name, target in {
        "linked": elsewhere,
        "link.yaml": elsewhere / "team.yaml",
        "circle.yaml": folder / "circle.yaml",
        "dangling.yaml": folder / "gone.yaml",
        "null.yaml": Path("/dev/null"),
    }.items():
        (folder / name).symlink_to(target)
    (folder / "folder").mkdir()
    os.mkfifo(folder / "pipe.yaml")
    path.write_text(SMALL + f"include: ['{include}']\n", encoding="utf-8")
    (finding,) = findings_of(path)
    assert (finding.code, finding.line, finding.column) == ("OWN007", 5, 11)
    assert expected in finding.message


def test_a_file_included_twice(path: Path) -> None:
    """Two globs that find the same file are one too many."""
    (path.parent / "a.yaml").write_text("teams: {}\n", encoding="utf-8")
    assert told(path, SMALL + "include: ['a.*', 'a.yaml']\n") == ["5:18 OWN007"]


def test_what_belongs_into_the_root(path: Path) -> None:
    """A team's file cannot change what holds for everybody, nor include more."""
    text = "fallback: {channel: {name: x, id: C0XXXXXXXX}}\ndefaults: {}\ninclude: []\nfoo: bar\n"
    (path.parent / "a.yaml").write_text(text, encoding="utf-8")
    path.write_text(SMALL + "include: [a.yaml]\n", encoding="utf-8")
    assert [(f.line, f.code) for f in findings_of(path)] == [(1, "OWN007"), (2, "OWN007"), (3, "OWN007"), (4, "OWN004")]


def test_names_across_files(path: Path) -> None:
    """A name that is taken in one file is taken in all; a team of another file can be named."""
    (path.parent / "a.yaml").write_text(
        "teams:\n  a: " + TEAM + "\nservices:\n  s: {owner: nobody}\n", encoding="utf-8"
    )
    path.write_text(SMALL + "include: [a.yaml]\n", encoding="utf-8")
    assert [(f.file.rsplit("/", 1)[-1], f.line, f.code) for f in findings_of(path)] == [
        ("a.yaml", 2, "OWN104"),
        ("a.yaml", 4, "OWN101"),
    ]


def test_an_unreadable_file_hides_no_other_finding(path: Path) -> None:
    """A file that is not YAML is told with the defects of the others; unknown teams could be in it and are not told."""
    (path.parent / "a.yaml").write_text("a: [\n", encoding="utf-8")
    (path.parent / "b.yaml").write_text("services:\n  s: {owner: maybe, onwer: x}\n", encoding="utf-8")
    path.write_text(SMALL + "include: [a.yaml, b.yaml]\n", encoding="utf-8")
    assert [f.code for f in findings_of(path)] == ["OWN001", "OWN004"]


# -- files that are no YAML of ours --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("a: b: c\n", ["1:5 OWN001"], id="no YAML"),
        pytest.param("teams:\n\ta: b\n", ["2:1 OWN001"], id="a tab"),
        pytest.param("a: {b: c\n", ["2:1 OWN001"], id="an open brace"),
        pytest.param("checkin: */5 * * * *\n", ["1:10 OWN001"], id="an unquoted cron expression"),
        pytest.param("mention: @team\n", ["1:10 OWN001"], id="an unquoted handle"),
        pytest.param(b"\xef\xbb\xbfversion: 1\n", ["1:1 OWN001"], id="byte order mark"),
        pytest.param("version: 1\n".encode("utf-16"), ["1:1 OWN001"], id="UTF-16"),
        pytest.param(b"\x7fELF\x02\x01\x01\x00\x00\xff\xfe", ["1:10 OWN001"], id="binary"),
        pytest.param(b"a: b\nc: \xff\n", ["2:4 OWN001"], id="Latin-1"),
        pytest.param("a: 日本\x00\n", ["1:6 OWN001"], id="NUL"),
        pytest.param('a: "x\u2028y"\n', ["1:6 OWN001"], id="a line break that no editor shows"),
        pytest.param("a: &x b\n", ["1:4 OWN002"], id="anchor"),
        pytest.param("a: &x b\nc: *x\n", ["1:4 OWN002", "2:4 OWN002"], id="alias"),
        pytest.param("a: !!str b\nc: !x {}\n", ["1:4 OWN002", "2:4 OWN002"], id="tags"),
        pytest.param("a:\n  <<: {b: c}\n", ["2:3 OWN002"], id="merge key"),
        pytest.param("a: b\n---\nc: d\n", ["2:1 OWN002"], id="two documents"),
        pytest.param("[" * 100_000, ["1:65 OWN002"], id="100,000 brackets"),
        pytest.param("- " * 100_000, ["1:129 OWN002"], id="100,000 dashes"),
        pytest.param("{a: " * 100_000, ["1:257 OWN002"], id="100,000 braces"),
        pytest.param("a: " + "x" * 5_000_000, ["1:4194305 OWN002"], id="5 MB in one line"),
        pytest.param("# 日本\n" * 1_000_000, ["466034:4 OWN002"], id="5 MB in many lines"),
        pytest.param("", ["1:1 OWN005"] * 3, id="empty"),
        pytest.param("- a\n", ["1:1 OWN005"], id="a list"),
        pytest.param("just text\n", ["1:1 OWN005"], id="text"),
        pytest.param("9" * 1000 + ": 1\n" + SMALL, ["1:1 OWN004"], id="a number with 1,000 digits"),
    ],
)
def test_files_that_are_no_map(text: str | bytes, expected: list[str], path: Path) -> None:
    """Each is answered within two seconds, with the place where reading stopped, and the interpreter lives."""
    started = time.perf_counter()
    assert told(path, text) == expected
    assert time.perf_counter() - started < 2


def test_bombs(path: Path) -> None:
    """Aliases that stand for billions of values are not followed."""
    rows = [
        f"{name}: &{name} [*{before}, *{before}, *{before}]"
        for before, name in zip("abcdefgh", "bcdefghi", strict=True)
    ]
    lol = "\n".join(['a: &a ["lol", "lol"]', *rows])
    merge = "\n".join(["a: &a {k: v}", *(f"b{n}: &b{n} {{<<: [*a, *a]}}" for n in range(40))])
    for text in (lol, merge):
        started = time.perf_counter()
        codes = {line.split()[1] for line in told(path, text)}
        assert codes == {"OWN002"}
        assert time.perf_counter() - started < 2


def test_what_cannot_be_opened(tmp_path: Path) -> None:
    """A missing file, a directory and a pipe are told, and none is waited for."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for path in (tmp_path / "missing.yaml", tmp_path, pipe):
        (finding,) = findings_of(path)
        assert (finding.code, finding.line) == ("OWN001", 1)
        assert "cannot be read" in finding.message


def at_marks(text: str, codes: str) -> list[str]:
    """`codes`, each at the place that its § marks in `text`, as `told` tells them."""
    places = [
        f"{number}:{column - marks}"
        for number, line in enumerate(text.splitlines(), start=1)
        for marks, column in enumerate((c for c, sign in enumerate(line, start=1) if sign == "§"), start=0)
    ]
    return [f"{place} {code}" for place, code in zip(places, codes.split(), strict=True)]


# -- defects of the map --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "codes"),
    [
        pytest.param("services:\n  s: {owner: a}\n  §s: {owner: a}\n", "OWN003", id="duplicate key"),
        pytest.param("services:\n  s: {§onwer: a}\n", "OWN004", id="missing for a typing error"),
        pytest.param("services:\n  §s: {§group: a}\n", "OWN005 OWN004", id="unknown and missing key"),
        pytest.param("§servces: {}\n", "OWN004", id="unknown key of the root"),
        pytest.param("jobs:\n  j: {owner: a, rerun: {§saftey: safe}}\n", "OWN004", id="deeper"),
        pytest.param("services:\n  §S: {owner: a}\n", "OWN005", id="no id"),
        pytest.param("services:§\n", "OWN005", id="an empty section"),
        pytest.param("services: §[]\n", "OWN005", id="a list for a mapping"),
        pytest.param("rules: §{}\n", "OWN005", id="a mapping for a list"),
        pytest.param("services:\n  s: {owner: a, tier: §5}\n", "OWN005", id="a tier out of range"),
        pytest.param("services:\n  s: {owner: a, severity: §crit}\n", "OWN005", id="no level"),
        pytest.param("services:\n  s: {owner: a, severity_map: {x: §crit}}\n", "OWN005", id="no level in a map"),
        pytest.param("services:\n  s: {owner: a, runbook: §example.com/x}\n", "OWN005", id="no web address"),
        pytest.param("services:\n  s: {owner: a, runbook: §'https://x/{a|upper}'}\n", "OWN005", id="no filter"),
        pytest.param("services:\n  s: {owner: a, review: {last: §10-May-2025}}\n", "OWN005", id="no date"),
        pytest.param("services:\n  s: {owner: a, review: {last: §2026-02-30}}\n", "OWN005", id="no such date"),
        pytest.param("jobs:\n  j: {owner: a, checkin: {schedule: x, grace: §45}}\n", "OWN005", id="no unit"),
        pytest.param("defaults: {business_hours: §9-17}\n", "OWN005", id="no working hours"),
        pytest.param("defaults: {business_hours: §'Mon-Fri 09:00-24:30'}\n", "OWN005", id="no such hour"),
        pytest.param("severities: {critical: {respond_within: §soon}}\n", "OWN005", id="no deadline"),
        pytest.param("defaults: {escalate: {if_unacked: §0x}}\n", "OWN005", id="no times"),
        pytest.param("defaults: {escalate: {if_unacked: §0m}}\n", "OWN005", id="no time to wait"),
        pytest.param("defaults: {escalate: {if_unacked: §45}}\n", "OWN005", id="no unit to wait"),
        pytest.param("defaults: {escalate: {if_repeats: §3}}\n", "OWN005", id="no window"),
        pytest.param("defaults: {escalate: {if_repeats: §3 in 31d}}\n", "OWN005", id="too long a window"),
        pytest.param("severities: {low: {escalate: {if_unacked: §soon}}}\n", "OWN005", id="no wait of a level"),
        pytest.param("severities: {low: {escalate: {then: §lead}}}\n", "OWN005", id="no list of steps"),
        pytest.param("namespaces: {§'a b': a}\n", "OWN005", id="no namespace"),
        pytest.param("resolve: §[label]\n", "OWN005", id="not all stages"),
        pytest.param("rules:\n  - {id: r, match: {a: §500}, owner: a}\n", "OWN005", id="a number as label value"),
        pytest.param("rules:\n  - {id: r, match: {a: §true}, owner: a}\n", "OWN005", id="a boolean as one"),
        pytest.param("rules:\n  - {id: r, match: {a: [b, §~]}, owner: a}\n", "OWN005", id="null as one"),
        pytest.param("rules:\n  - {id: r, match: §[], owner: a}\n", "OWN005", id="no matcher"),
        pytest.param("rules:\n  - §§{match: {a: b}}\n", "OWN005 OWN005", id="neither id nor owner"),
        pytest.param("rules:\n  - {id: §r, match: {a: b}, owner: a, drop: true, reason: x}\n", "OWN005", id="both"),
        pytest.param("rules:\n  - {id: §r, match: {a: b}, drop: true}\n", "OWN005", id="drop without reason"),
        pytest.param("rules:\n  - {id: r, match: {a: b}, drop: §yes, reason: x}\n", "OWN005", id="drop: yes"),
        pytest.param("overrides:\n  - {id: §o, match: {a: b}, owner: a, reason: x}\n", "OWN303", id="no end"),
        pytest.param("rules:\n  - {id: r, match: [§'foo='], owner: a}\n", "OWN206", id="classic matcher"),
        pytest.param("rules:\n  - {id: r, match: [§'a=~\"(?=x)\"'], owner: a}\n", "OWN207", id="no RE2"),
        pytest.param(
            "rules:\n  - {id: r, match: [§'a=', 'b=\"c\"', §'d'], owner: a}\n", "OWN206 OWN206", id="each one"
        ),
        pytest.param("services:\n  s: {owner: §nobody}\n", "OWN101", id="unknown owner"),
        pytest.param("services:\n  s: {owner: a, also_notify: [a, §b]}\n", "OWN101", id="unknown also_notify"),
        pytest.param("jobs:\n  j: {owner: a, rerun: {safety: safe, ask: §b}}\n", "OWN101", id="unknown ask"),
        pytest.param("rules:\n  - {id: r, match: {a: b}, owner: §b}\n", "OWN101", id="unknown, in a rule"),
        pytest.param("namespaces: {x: §b}\n", "OWN101", id="unknown, of a namespace"),
        pytest.param("services:\n  s: {owner: a, aliases: [t]}\n  §t: {owner: a}\n", "OWN104", id="alias and id"),
        pytest.param("services:\n  s: {owner: a, aliases: [x, §x]}\n", "OWN104", id="an alias twice"),
        pytest.param("services:\n  s: {owner: a, aliases: [s]}\n", "", id="its own id as alias is of no harm"),
        pytest.param("services:\n  s: {owner: a}\njobs:\n  s: {owner: a}\n", "", id="a job and a service of one name"),
        pytest.param(
            "rules:\n  - {id: r, match: {a: b}, owner: a}\n  - {id: §r, match: {a: c}, owner: a}\n",
            "OWN104",
            id="two rules of one id",
        ),
        pytest.param("namespaces: {a-*: a, §'*-a': a}\n", "OWN104", id="two globs that fit the same name"),
        pytest.param("namespaces: {a-*: a, b-*: a, c-?: a, 'd-?': a}\n", "", id="globs that do not"),
        pytest.param("jobs:\n  j: {owner: a, §rerun: {safety: conditional}}\n", "OWN131", id="conditional: when"),
        pytest.param("jobs:\n  j: {owner: a, §rerun: {safety: conditional, when: ''}}\n", "OWN131", id="when: ''"),
        pytest.param(
            "jobs:\n  j: {owner: a, rerun: {safety: unsafe, when: x, §how: y}}\n", "OWN131", id="unsafe: no how"
        ),
        pytest.param("services:\n  s: {owner: a, channel: {name: §'#x', id: C0XXXXXXXX}}\n", "OWN111", id="#name"),
        pytest.param("services:\n  s: {owner: a, channel: §general}\n", "OWN111", id="a channel as text"),
        pytest.param("services:\n  s: {owner: a, §channel: {name: x}}\n", "OWN005", id="a channel without id"),
    ],
)
def test_defects(body: str, codes: str, path: Path) -> None:
    """Each defect has one code, the most special one, at the place that is wrong: marked here with §."""
    assert told(path, (SMALL + body).replace("§", "")) == at_marks(SMALL + body, codes)


@pytest.mark.parametrize(
    ("teams", "codes"),
    [
        pytest.param("  §a: {name: x}\n", "OWN110", id="no channel"),
        pytest.param("  a:\n    channel: §#alerts\n", "OWN111", id="a comment for a channel"),
        pytest.param("  a: {channel: {name: §Alerts, id: C0AAAAAAAA}}\n", "OWN111", id="capitals"),
        pytest.param("  a: {channel: {name: a, id: §U0AAAAAAAA}}\n", "OWN111", id="a person for a channel"),
        pytest.param("  a: {channel: {name: a, id: C0AAAAAAAA}, mention: §'<@U0PERSON01>'}\n", "OWN112", id="markup"),
        pytest.param("  a: {channel: {name: a, id: C0AAAAAAAA}, mention: §jane@example.com}\n", "OWN112", id="e-mail"),
        pytest.param("  a: {channel: {name: a, id: C0AAAAAAAA}, mention: §Jane Doe}\n", "OWN112", id="a name"),
        pytest.param("  a: {channel: {name: a, id: C0AAAAAAAA}, mention: §oncall}\n", "OWN005", id="no mention"),
        pytest.param(
            "  a: {channel: {name: a, id: C0AAAAAAAA}, channels: {§urgent: {name: b, id: C0BBBBBBBB}}}\n",
            "OWN005",
            id="a channel of no level",
        ),
        pytest.param("  a: {channel: {name: a, id: C0AAAAAAAA}, parent: §b}\n", "OWN101", id="unknown parent"),
        pytest.param("  §a: {dissolved: 2026-01-01}\n", "OWN005", id="no successor"),
        pytest.param("  a: {dissolved: 2026-01-01, successor: §b}\n", "OWN101", id="unknown successor"),
        pytest.param("  a: {dissolved: 2026-01-01, successor: §a}\n", "OWN103", id="its own successor"),
        pytest.param(
            "  b: {dissolved: 2026-01-01, successor: §a}\n  a: {dissolved: 2026-01-01, successor: b}\n",
            "OWN103",
            id="a cycle, once, at the first",
        ),
        pytest.param(
            "  a: {dissolved: 2026-01-01, successor: §b}\n  §b: {dissolved: 2026-01-01}\n",
            "OWN103 OWN005",
            id="a chain that ends with a tombstone",
        ),
        pytest.param(
            f"  a: {TEAM[:-1]}, parent: §b}}\n  b: {TEAM[:-1]}, parent: a}}\n", "OWN103", id="a cycle of parents"
        ),
        pytest.param(
            "  a: {channel: {name: a, id: C0AAAAAAAA}, aliases: [b]}\n  §b: {channel: {name: a, id: C0AAAAAAAA}}\n",
            "OWN104",
            id="an alias that is a team",
        ),
    ],
)
def test_defects_of_teams(teams: str, codes: str, path: Path) -> None:
    """Teams have a channel or a successor, and every chain ends with an active one."""
    text = SMALL.rsplit("  a:", 1)[0] + teams
    assert told(path, text.replace("§", "")) == at_marks(text, codes)


@pytest.mark.parametrize(
    ("body", "message", "advice"),
    [
        pytest.param("services:\n  s: {owner: A1}\n", "is not an id", None, id="pattern in words"),
        pytest.param("services:\n  s: {owner: '@U0ALICE001'}\n", "is not an id", "name a team", id="a person"),
        pytest.param("services:\n  s: {owner: a, tier: 5}\n", "5 is too high: the most is 4", None, id="too high"),
        pytest.param("services:\n  s: {owner: a, tier: 0}\n", "0 is too low: the least is 1", None, id="too low"),
        pytest.param("rules:\n  - {id: r, match: {}, owner: a}\n", '"match" is empty', None, id="no label"),
        pytest.param("rules:\n  - {id: r, match: [], owner: a}\n", '"match" is empty', None, id="no matcher"),
        pytest.param("rules:\n  - {id: r, match: {c: []}, owner: a}\n", '"c" is empty', None, id="no value"),
        pytest.param("rules:\n  - {id: r, match: ['a==\"b\"'], owner: a}\n", "a==", "an operator is one of", id="=="),
        pytest.param("namespaces: {a-*: a, '*-a': a}\n", '"*-a" can fit the same name', "longer", id="globs"),
        pytest.param(
            "services:\n  s: {owner: a, channel: {name: x, id: https://hooks.slack.com/services/T/B/x}}\n",
            "is not a channel's id",
            "revoke it",
            id="a webhook for a channel's id",
        ),
        pytest.param("services:\n  s: {owner: aa, alaises: []}\n", 'unknown key "alaises"', '"aliases"', id="key"),
        pytest.param("services:\n  s: {owner: aa}\n", 'team "aa" is not in teams', '"a"', id="team"),
        pytest.param("services:\n  s: {owner: a, severity: hihg}\n", '"hihg" is not one of', '"high"', id="level"),
        pytest.param(
            "services:\n  s: {owner: a, review: {last: 10-May-2025}}\n", "date", "write 2025-05-10", id="date"
        ),
        pytest.param("rules:\n  - {id: r, match: ['foo='], owner: a}\n", "label value", 'write foo=""', id="classic"),
        pytest.param(
            "rules:\n  - {id: r, match: ['a=b c'], owner: a}\n", "unexpected c", 'write a="b c"', id="quote it"
        ),
        pytest.param("rules:\n  - {id: r, match: {a: 5}, owner: a}\n", "the number", 'in quotes: "5"', id="number"),
        pytest.param("rules:\n  - {id: r, match: {a: b}, drop: no}\n", '"no"', "write true or false", id="YAML 1.1"),
        pytest.param("jobs:\n  j: {owner: a, checkin: {schedule: x, grace: 45}}\n", "number", "45m", id="unit"),
    ],
)
def test_what_to_do(body: str, message: str, advice: str | None, path: Path) -> None:
    """A finding says what is wrong, quotes it, and says what to write."""
    path.write_text(SMALL + body, encoding="utf-8")
    texts = [(finding.message, finding.help or "") for finding in findings_of(path)]
    assert any(message in said and (advice or "") in helped for said, helped in texts), texts


def test_all_defects_at_once(path: Path) -> None:
    """Whoever fixes a map sees everything that is wrong with it, in the order of the lines."""
    text = SMALL + "services:\n  s: {owner: §b, tier: §9, §x: y}\nrules:\n  - {id: r, match: [§'a='], owner: §c}\n"
    assert told(path, text.replace("§", "")) == at_marks(text, "OWN101 OWN005 OWN004 OWN206 OWN101")


def test_a_secret_is_not_quoted(path: Path) -> None:
    """A token that was pasted into the map has its own code, and is in no message and no shown line."""
    secret = "https://hooks.slack.com/services/T0AAAA/B0BBBB/verysecret"
    path.write_text(
        SMALL + f"services:\n  s: {{owner: a, channel: '{secret}', runbook: xoxb-123-abc}}\n", encoding="utf-8"
    )
    findings = findings_of(path)
    assert [finding.code for finding in findings] == ["OWN801", "OWN801"]
    shown = "\n".join([*map(str, findings), *(finding.help or "" for finding in findings), render_findings(findings)])
    assert "verysecret" not in shown
    assert "xoxb" not in shown


def test_rendering(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """People see the line, a caret under the place, and the remedy; wide characters count twice."""
    monkeypatch.chdir(path.parent)
    path.write_text(SMALL + "services:\n  s: {aliases: [支払い], owner: aa}\n", encoding="utf-8")
    with pytest.raises(OwnershipFileInvalid) as refused:
        load_map(Path("ownership.yaml"))
    assert render_findings(refused.value.findings).splitlines() == [
        'error[OWN101]: team "aa" is not in teams',
        " --> ownership.yaml:6:30",
        "  |",
        "6 |   s: {aliases: [支払い], owner: aa}",
        "  | " + " " * len("  s: {aliases: [xxxxxx], owner: ") + "^^",
        '  = help: did you mean "a"?',
        "  = docs: router lint --explain OWN101",
    ]
    assert str(refused.value) == 'ownership.yaml:6:30: OWN101 team "aa" is not in teams (did you mean "a"?)'


def test_rendering_of_an_endless_line(path: Path) -> None:
    """Of a long line the part around the place is shown; control characters are not."""
    path.write_bytes(b"a: \x1b[31m" + b"[" * 100_000)
    shown = render_findings(findings_of(path))
    assert "\x1b" not in shown
    assert max(map(len, shown.splitlines())) < 200


def test_places_are_relative_to_here(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Below the current directory a file is named relative to it, elsewhere absolutely."""
    path.write_text(SMALL, encoding="utf-8")
    monkeypatch.chdir(path.parent)
    assert load_map(path).file == "ownership.yaml"
    (path.parent / "sub").mkdir()
    monkeypatch.chdir(path.parent / "sub")
    assert load_map(Path("../ownership.yaml")).file == path.as_posix()
