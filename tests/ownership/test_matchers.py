"""Alertmanager's matchers. The tables marked so are those of its own tests (matcher/parse, compliance; 0.33)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.core.errors import MatcherInvalid
from router.core.matchers import Matcher, Operator, all_match, parse_matchers

EQ, NE, RE, NR = Operator.EQUAL, Operator.NOT_EQUAL, Operator.MATCHES, Operator.NOT_MATCHES
Parsed = list[tuple[str, Operator, str]]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("", [], id="nothing"),
        pytest.param("{}", [], id="braces"),
        pytest.param("{ }", [], id="braces with a space"),
        pytest.param("{foo=bar}", [("foo", EQ, "bar")], id="equals"),
        pytest.param("{foo=bar,}", [("foo", EQ, "bar")], id="trailing comma"),
        pytest.param("{foo!=bar}", [("foo", NE, "bar")], id="not equals"),
        pytest.param("{foo=~[a-z]+}", [("foo", RE, "[a-z]+")], id="regex"),
        pytest.param("{foo!~[a-z]+}", [("foo", NR, "[a-z]+")], id="negative regex"),
        pytest.param("{foo=🙂bar}", [("foo", EQ, "🙂bar")], id="emoji"),
        pytest.param("foo=bar,", [("foo", EQ, "bar")], id="no braces, trailing comma"),
        pytest.param('"foo"="bar"', [("foo", EQ, "bar")], id="quoted"),
        pytest.param('{"foo"="\\xf0\\x9f\\x99\\x82"}', [("foo", EQ, "🙂")], id="emoji as bytes"),
        pytest.param('{"foo"="\\360\\237\\231\\202"}', [("foo", EQ, "🙂")], id="emoji as octal bytes"),
        pytest.param('{"foo"="\\U0001f642"}', [("foo", EQ, "🙂")], id="emoji as code point"),
        pytest.param('{"foo"="bar\\n\\t\\"\\\\"}', [("foo", EQ, 'bar\n\t"\\')], id="escapes"),
        pytest.param('{foo="bar",bar!="baz"}', [("foo", EQ, "bar"), ("bar", NE, "baz")], id="two"),
        pytest.param('{a="b",c=~"d"}', [("a", EQ, "b"), ("c", RE, "d")], id="two of two kinds"),
        pytest.param('{foo=""}', [("foo", EQ, "")], id="empty value"),
        pytest.param('{foo="bar,quux", job="job1"}', [("foo", EQ, "bar,quux"), ("job", EQ, "job1")], id="comma inside"),
        pytest.param(
            '{foo = "bar", dings != "bums", }', [("foo", EQ, "bar"), ("dings", NE, "bums")], id="spaces everywhere"
        ),
        pytest.param('statuscode=~"5.."', [("statuscode", RE, "5..")], id="5.."),
        pytest.param("1foo=bar", [("1foo", EQ, "bar")], id="new in UTF-8: leading digit"),
        pytest.param("a.b=c", [("a.b", EQ, "c")], id="new in UTF-8: dot"),
        pytest.param('"foo bar"="baz"', [("foo bar", EQ, "baz")], id="new in UTF-8: quoted name"),
        pytest.param("name-with-dashes=bar", [("name-with-dashes", EQ, "bar")], id="dashes"),
        pytest.param("foo=a\u202f", [("foo", EQ, "a")], id="a space of Unicode ends a word"),
        pytest.param("foo=a\x1cb", [("foo", EQ, "a\x1cb")], id="what only Python calls a space does not"),
    ],
)
def test_what_alertmanager_takes(text: str, expected: Parsed) -> None:
    """What the UTF-8 parser reads is read the same."""
    assert [(m.name, m.operator, m.values[0]) for m in parse_matchers(text)] == expected


@pytest.mark.parametrize(
    ("text", "position", "message"),
    [
        pytest.param(",", 0, "unexpected ,: expected label name", id="comma"),
        pytest.param("{,}", 1, "unexpected ,: expected label name", id="comma in braces"),
        pytest.param("{", 1, "end of input: expected close brace", id="open brace"),
        pytest.param("}", 0, "}: expected opening brace", id="close brace"),
        pytest.param("foo=bar}", 7, "}: expected opening brace", id="no open brace"),
        pytest.param("{foo=bar", 8, "end of input: expected close brace", id="no close brace"),
        pytest.param("{foo=bar}}", 9, "}: expected end of input", id="two close braces"),
        pytest.param('{foo=:"bar"}', 6, 'unexpected "bar": expected a comma or close brace', id="value, then quotes"),
        pytest.param('{foo="bar\\w"}', 5, '"bar\\w": invalid input', id="escape"),
        pytest.param("{foo=bar\\n}", 8, "\\: invalid input: expected a comma or close brace", id="unquoted escape"),
        pytest.param('{"foo"="\\xf0\\x9f"}', 7, '"\\xf0\\x9f": invalid input', id="not UTF-8"),
        pytest.param('foo="a\nb"', 4, '"a\nb": invalid input', id="line break in quotes"),
        pytest.param("foo=", 4, "end of input: expected label value", id="classic: empty value"),
        pytest.param("foo=~\\d+", 5, "\\: invalid input: expected label value", id="classic: backslash"),
        pytest.param("foo=a b", 6, "unexpected b: expected a comma or close brace", id="classic: space"),
        pytest.param("foo='x'", 4, "': invalid input: expected label value", id="classic: single quotes"),
        pytest.param("foo=~a{2}", 6, "unexpected {: expected a comma or close brace", id="classic: braces"),
        pytest.param('"hello', 0, '"hello: missing end "', id="unterminated"),
        pytest.param("foo", 3, "end of input: expected an operator such as '=', '!=', '=~' or '!~'", id="no operator"),
        pytest.param("foo=bar,,", 8, "unexpected ,: expected a matcher or close brace after comma", id="two commas"),
    ],
)
def test_what_alertmanager_refuses(text: str, position: int, message: str) -> None:
    """What the UTF-8 parser refuses is refused in its words, at the same place."""
    with pytest.raises(MatcherInvalid) as refused:
        parse_matchers(text)
    assert (refused.value.position, refused.value.code) == (position, "OWN206")
    assert message in str(refused.value)


@pytest.mark.parametrize(
    "pattern",
    [
        pytest.param("a(?=b)", id="look-ahead"),
        pytest.param("(?<!a)b", id="look-behind"),
        pytest.param(r"(a)\\1", id="backreference"),
        pytest.param("a{1001}", id="repeat over 1000"),
        pytest.param("((a{100}){100}){100}", id="nested repeats"),
        pytest.param(r"a\\C", id="one byte, which only RE2 in C++ takes"),
        pytest.param("[a", id="unclosed class"),
    ],
)
def test_what_is_not_re2(pattern: str, capfd: pytest.CaptureFixture[str]) -> None:
    """A regular expression that Go would refuse has its own code, and nothing is written to stderr."""
    with pytest.raises(MatcherInvalid) as refused:
        parse_matchers(f'foo=~"{pattern}"')
    assert refused.value.code == "OWN207"
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize(
    ("text", "labels", "expected"),
    [
        pytest.param('foo=""', {}, True, id="missing is empty: ="),
        pytest.param('foo!="x"', {}, True, id="missing is empty: !="),
        pytest.param('foo=~".*"', {}, True, id="missing is empty: =~"),
        pytest.param('foo!~".+"', {}, True, id="missing is empty: !~"),
        pytest.param('foo=~"a|"', {}, True, id="an empty alternative"),
        pytest.param('foo=~"a|b"', {"foo": "b"}, True, id="a literal alternative"),
        pytest.param('foo=~"a|b"', {"foo": "ab"}, False, id="anchored, literal"),
        pytest.param('foo=~"a.*"', {"foo": "ba"}, False, id="anchored at the start"),
        pytest.param('foo=~".*a"', {"foo": "ab"}, False, id="anchored at the end"),
        pytest.param('foo=~"a|bc.*"', {"foo": "a-c"}, False, id="the anchors hold for every alternative"),
        pytest.param('foo!~".+"', {"foo": "a\nb"}, True, id="a dot is no line feed"),
        pytest.param('foo=~"(?s).+"', {"foo": "a\nb"}, True, id="but can be told to be one"),
        pytest.param('foo=~"a$"', {"foo": "a\n"}, False, id="$ is the very end"),
        pytest.param('foo=~"(?i)ABC"', {"foo": "abc"}, True, id="flags"),
        pytest.param('foo=~"\\\\Q\\\\C\\\\E"', {"foo": "\\C"}, True, id="a quoted \\C is text"),
        pytest.param('foo=~"支.い"', {"foo": "支払い"}, True, id="a dot is a character, not a byte"),
        pytest.param('foo=~".+"', {"foo": "\ud800"}, True, id="half a character does not raise"),
        pytest.param('foo="a",bar="b"', {"foo": "a"}, False, id="all must hold"),
    ],
)
def test_matching(text: str, labels: dict[str, str], expected: bool) -> None:
    """Matchers mean what they mean in Alertmanager."""
    assert all_match(parse_matchers(text), labels) is expected


def test_linear_time() -> None:
    """A pattern over which a backtracking engine sits for minutes is answered at once."""
    (matcher,) = parse_matchers('foo=~"(a+)+b"')
    assert not matcher.matches({"foo": "a" * 100_000})


def test_a_list_is_one_equality() -> None:
    """`{label: [a, b]}` is one matcher that either value fits, and prints as what Alertmanager can read."""
    matcher = Matcher.one_of("namespace", ["pay.eu", "pay"])
    assert [matcher.matches({"namespace": value}) for value in ("pay", "pay.eu", "pay-eu", "")] == [
        True,
        True,
        False,
        False,
    ]
    assert str(matcher) == r'namespace=~"pay\\.eu|pay"'


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=8) | st.sampled_from(
    ["a b", 'x"y', "\\", "a\nb", "{", "=~"]
)


@given(name=texts, operator=st.sampled_from([EQ, NE]), value=texts)
def test_printing_reads_back(name: str, operator: Operator, value: str) -> None:
    """What is printed is read as the same matcher."""
    matcher = Matcher.of(name, operator, value)
    assert parse_matchers(str(matcher)) == (matcher,)


@given(values=st.lists(texts, min_size=1, max_size=3, unique=True), asked=texts)
def test_a_printed_list_means_the_same(values: list[str], asked: str) -> None:
    """A list printed as a regular expression fits the same values, whatever signs they hold."""
    matcher = Matcher.one_of("l", values)
    (read,) = parse_matchers(str(matcher))
    assert read.matches({"l": asked}) == matcher.matches({"l": asked})
    assert all(read.matches({"l": value}) for value in values)
