"""OWN208: expressions that fit something else than their author thought."""

import pytest

from router.lint import rules
from tests.lint.marked_maps import ROOT, at_marks, found, told

ANCHORS = "a regular expression fits whole values, ^ and $ add nothing"
CONTAINS = '".*" at both ends fits whatever contains the rest'
EMPTY = 'the empty alternative fits what has no "host"'


def dots(name: str) -> str:
    return f'a dot in "{name}" fits any character'


def matching(matcher: str) -> str:
    return f"{ROOT}rules:\n  - id: x\n    match: [§'{matcher}', alertname=X]\n    owner: a\n"


@pytest.mark.parametrize(
    ("matcher", "problem", "advice"),
    [
        pytest.param('host=~"^db$"', ANCHORS, 'write host=~"db"', id="both anchors"),
        pytest.param('host!~"^db.*"', ANCHORS, 'write host!~"db.*"', id="one anchor"),
        pytest.param('host=~"^db|web$"', ANCHORS, 'write host=~"db|web"', id="anchors of branches"),
        pytest.param('host=~"a|"', EMPTY, 'write host=~"a"', id="a bar at the end"),
        pytest.param('host=~"a||b"', EMPTY, 'write host=~"a|b"', id="two bars"),
        pytest.param('host=~"foo.example.com"', dots("foo.example.com"),
                     r'write host=~"foo\\.example\\.com"', id="host"),
        pytest.param('host=~"10.0.0.1"', dots("10.0.0.1"), r'write host=~"10\\.0\\.0\\.1"', id="address"),
        pytest.param('host=~".+.example.com"', dots(".example.com"), r'write host=~".+\\.example\\.com"', id="domain"),
        pytest.param(r'host=~"db\\.example.com"', dots("db.example.com"),
                     r'write host=~"db\\.example\\.com"', id="one of two"),
        pytest.param('host=~"db.local|web"', dots("db.local"), r'write host=~"db\\.local|web"', id="two words"),
        pytest.param('host=~"(a|b).example.com:.*"', dots(".example.com"),
                     r'write host=~"(a|b)\\.example\\.com:.*"', id="after a group"),
        pytest.param('host=~".*db.*"', CONTAINS, "name the values, or keep the end that is fixed", id="contains"),
        pytest.param('host=~"^.*db.*$"', f"{ANCHORS}; {CONTAINS}", 'write host=~".*db.*"', id="contains, with anchors"),
    ],
)  # fmt: skip
def test_what_is_said(matcher: str, problem: str, advice: str) -> None:
    """The matcher, what it really does, and how to write it; at the matcher."""
    text = matching(matcher)
    assert told(rules.check, text) == at_marks("OWN208 warning", text)
    (finding,) = found(rules.check, text)
    assert (finding.message, finding.help) == (f"{matcher}: {problem}", advice)


@pytest.mark.parametrize(
    ("value", "problem", "advice"),
    [
        pytest.param(
            '§"=~prod-.*"', "it asks for a value that begins with =~", """['env=~"prod-.*"']""", id="an operator"
        ),
        pytest.param('§"!=dev"', "it asks for a value that begins with !=", """['env!="dev"']""", id="another"),
        pytest.param('§"prod-*"', "here * stands for itself", """['env=~"prod-.*"']""", id="a glob"),
        pytest.param('§"*.corp"', "here * stands for itself", r"""['env=~".*\\.corp"']""", id="a domain"),
        pytest.param('[dev, §"prod-*"]', "here * stands for itself", """['env=~"prod-.*"']""", id="one of a list"),
    ],
)
def test_a_value_that_was_meant_as_a_pattern(value: str, problem: str, advice: str) -> None:
    """`{label: value}` compares letter by letter."""
    text = f"{ROOT}rules:\n  - id: x\n    match: {{env: {value}, alertname: X}}\n    owner: a\n"
    assert told(rules.check, text) == at_marks("OWN208 warning", text)
    (finding,) = found(rules.check, text)
    assert finding.message.endswith(f": {problem}")
    assert finding.help == f"write {advice}"


@pytest.mark.parametrize(
    "matcher",
    [
        pytest.param('host="db"', id="a value"),
        pytest.param('host=~"db|web"', id="values"),
        pytest.param('host=~"db.*"', id="a beginning"),
        pytest.param('host=~".*db"', id="an end"),
        pytest.param('host=~".*"', id="anything"),
        pytest.param('host=~"(db|)[0-9]+"', id="something optional"),
        pytest.param('host=~"^$|db"', id="missing, and said so"),
        pytest.param(r'host=~"db\\.example\\.com"', id="a host"),
        pytest.param('host=~"[a.b.c]+"', id="dots in a class"),
        pytest.param('host=~"5.."', id="any two"),
        pytest.param('host=~"Kube.Pod"', id="any character"),
        pytest.param('host=~"a.+b.*c"', id="repeated dots"),
        pytest.param('host=~"v1.2"', id="a version"),
        pytest.param('host="foo.example.com"', id="an equality"),
        pytest.param('host=~"(?i)^db$"', id="flags: not looked at"),
        pytest.param(r'host=~"db\\$"', id="a dollar"),
    ],
)
def test_what_is_fine(matcher: str) -> None:
    """What means what it says, or is not understood."""
    assert told(rules.check, matching(matcher)) == []


def test_a_scope_is_read_too() -> None:
    """It fences other people's changes, so it should mean what it says."""
    text = "include: [team.yaml]\n" + ROOT
    team = "scope: ['team=a', §'namespace=~\"^pay.*\"']\n"
    assert told(rules.check, text, team=team) == at_marks("OWN208 warning", text, team=team)
