"""Matchers of configuration files are read as Alertmanager reads them, and sampled so that they can be tried."""

import pytest

from router.core.errors import MatcherInvalid
from router.core.matchers import Matcher, Operator
from router.mapmaking.classic_matchers import configured_matchers
from router.mapmaking.regex_samples import samples

E, N, R, X = Operator.EQUAL, Operator.NOT_EQUAL, Operator.MATCHES, Operator.NOT_MATCHES


@pytest.mark.parametrize(
    ("text", "expected"),
    [  # as in Alertmanager's own tests of its classic parser: pkg/labels/parse_test.go
        ('{foo="bar"}', [("foo", E, "bar")]),
        ('{foo=~"bar.*"}', [("foo", R, "bar.*")]),
        ('{foo!~"bar.*"}', [("foo", X, "bar.*")]),
        ('{foo="bar", baz!="quux"}', [("foo", E, "bar"), ("baz", N, "quux")]),
        ('{foo="bar", baz!~"quux.*", derp="wat"}', [("foo", E, "bar"), ("baz", X, "quux.*"), ("derp", E, "wat")]),
        ('{foo="bar", baz!="quux", }', [("foo", E, "bar"), ("baz", N, "quux")]),
        ("foo=bar,baz!~quux.*", [("foo", E, "bar"), ("baz", X, "quux.*")]),
        ("foo=bar, baz!~quux.*}", [("foo", E, "bar"), ("baz", X, "quux.*")]),
        ('{foo="bar,qux", baz!="qu\\"ux"}', [("foo", E, "bar,qux"), ("baz", N, 'qu"ux')]),
        (r'{foo="bar\n"}', [("foo", E, "bar\n")]),
        (r'{foo="bar\t"}', [("foo", E, "bar\\t")]),
        (r'{foo="bar\\n"}', [("foo", E, "bar\\n")]),
        ("foo=", [("foo", E, "")]),
        ("foo= bar baz ", [("foo", E, "bar baz")]),
        (r"foo=~\d+", [("foo", R, r"\d+")]),
        ("foo=~a{2}", [("foo", R, "a{2")]),
        ("", []),
        ("{}", []),
        ('"foo bar"="baz"', [("foo bar", E, "baz")]),  # this and those below are UTF-8 matchers only
        ("foo.bar=baz", [("foo.bar", E, "baz")]),
        ("日本=baz", [("日本", E, "baz")]),
    ],
)
def test_matchers(text: str, expected: list[tuple[str, Operator, str]]) -> None:
    """The classic parser's reading counts, the newer one's where the classic one has none."""
    assert configured_matchers(text) == tuple(Matcher.of(*parts) for parts in expected)


@pytest.mark.parametrize(
    "text", ['foo="bar', 'foo=bar"', 'foo="b"ar"', "foo", "=bar", '{foo=~"[regexp"}', "{,}", 'foo bar="baz"']
)
def test_what_no_parser_takes(text: str) -> None:
    """Alertmanager would not start with it."""
    with pytest.raises(MatcherInvalid):
        configured_matchers(text)


@pytest.mark.parametrize(
    "pattern",
    [
        "payments-.*",
        ".+",
        "(foo|bar)-[0-9]{2,}",
        "^pay-(eu|us)$",
        r"\d+\.\d+\.svc",
        "(?i)Kube.*(Node|Pod)?",
        "(?P<region>eu|us)-(?:a|b)+",
        "[^a-z]+",
        "org-([^g]|g[^i])+",
        r"\Qa.b\E",
        r"[[:alpha:]_][\w]*",
        r"a\x2db\pL",
        "a{3}",
        "[]a]b",
        "x??y+?z*?",
        "",
        "a|",
    ],
)
def test_samples(pattern: str) -> None:
    """Every sample fits, and there is one for each alternative."""
    matcher = Matcher.of("a", R, pattern)
    found = samples(pattern)
    assert found
    assert [sample for sample in found if not matcher.matches({"a": sample})] == []


def test_samples_of_each_alternative() -> None:
    """A route that is guarded by several words is walked with each."""
    assert set(samples("a.|b+|c")) >= {"ax", "b", "c"}


def test_deep_patterns() -> None:
    """What is nested too deep is left alone, in no time."""
    assert samples("(" * 900 + "a" + ")" * 900) == ()
