"""The boundary: whatever is put in comes out as text, and at most as long as it may be."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.core.model import Mention
from router.notify import markup
from tests.notify.hostile import assert_nothing_live, texts


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("5 > 3 & 2 < 4", "5 &gt; 3 &amp; 2 &lt; 4", id="the three special characters"),
        pytest.param('"quoted" \\ #tag @here', '"quoted" \\ #tag @here', id="nothing else is encoded"),
        pytest.param("&lt;", "&amp;lt;", id="what looks escaped is escaped again"),
        pytest.param("<!channel> <@U0LEADPAY1>", "&lt;!channel&gt; &lt;@U0LEADPAY1&gt;", id="mentions"),
        pytest.param("one\ntwo\r\n\n three\u2028four", "one ⏎ two ⏎ three ⏎ four", id="line breaks"),
        pytest.param("a\tb\x00c\x1b[0m", "a bc[0m", id="control characters"),
        pytest.param("\u202eabc\u202c\u2067d\u2069\u200e", "abcd", id="direction overrides"),
        pytest.param("👩\u200d🚀 می\u200cخواهم", "👩\u200d🚀 می\u200cخواهم", id="joiners stay"),
        pytest.param("see `order_id`", "see `order_id`", id="a closed span stays"),
        pytest.param("see `order_id", "see ˋorder_id", id="an open span does not swallow what follows"),
        pytest.param("```x```", "ˋˋˋxˋˋˋ", id="a fence"),
        pytest.param("\ud800x", "\N{REPLACEMENT CHARACTER}x", id="a lone surrogate"),
        pytest.param(" \n ", "", id="blank"),
    ],
)
def test_prose(text: str, expected: str) -> None:
    """Text from outside, in running text."""
    assert markup.prose(text, 100) == expected


@pytest.mark.parametrize(
    ("text", "limit", "expected"),
    [
        pytest.param("abcdef", 6, "abcdef", id="fits exactly"),
        pytest.param("abcdef", 5, "abcd…", id="one too long"),
        pytest.param("a&b<c", 10, "a&amp;b…", id="never inside an entity"),
        pytest.param("&&&", 10, "&amp;…", id="an entity counts five"),
        pytest.param("ab cd", 4, "ab…", id="no blank before the cut"),
        pytest.param("ab👩‍👩‍👧‍👦", 10, "ab…", id="never inside a family"),
        pytest.param("ab🇯🇵🇩🇪", 7, "ab🇯🇵…", id="never inside a flag"),
        pytest.param("abe\u0301", 3, "ab…", id="never between a letter and its accent"),
        pytest.param("ab👍🏽", 5, "ab…", id="never before a skin tone"),
        pytest.param("ab1\ufe0f\u20e3", 4, "ab…", id="never inside a keycap"),
        pytest.param("abक्षc", 4, "ab…", id="never inside a conjunct"),
        pytest.param("abग\u1112\u1161\u11ab", 5, "abग…", id="never inside a Hangul syllable"),
        pytest.param("🔥🔥🔥", 5, "🔥🔥…", id="an emoji counts two"),
        pytest.param("a" + "\u0301" * 200, 100, "a" + "\u0301" * 98 + "…", id="a tower of accents is cut all the same"),
    ],
)
def test_cut(text: str, limit: int, expected: str) -> None:
    """Too long text is cut between graphemes, and counted as escaped."""
    assert markup.prose(text, limit) == expected


def test_a_cut_that_opens_a_span_closes_it() -> None:
    """The cut may take the second back-tick away."""
    assert markup.prose("run `make it so` now", 12) == "run ˋmake i…"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("checkout-1", "`checkout-1`", id="plain"),
        pytest.param("a`b", "`aˋb`", id="a back-tick inside"),
        pytest.param("<x>", "`&lt;x&gt;`", id="escaped inside code too"),
        pytest.param("", "", id="empty: an empty span would show its ticks"),
        pytest.param("x" * 30, "`xxxxxxxxxxxxxxxxx…`", id="the ticks are never cut off"),
    ],
)
def test_code(text: str, expected: str) -> None:
    """A code span, closed in any case."""
    assert markup.code(text, 20) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("a:\n  b: 1\n", "```a:\n  b: 1```", id="lines and indentation stay"),
        pytest.param("echo `date` <x>", "```echo `date` &lt;x&gt;```", id="a back-tick is part of the command"),
        pytest.param("echo `date`", "``` echo `date` ```", id="but not of the fence"),
        pytest.param("a```b", "```aˋˋˋb```", id="no way out of the block"),
        pytest.param("x" * 40, None, id="never half a command"),
        pytest.param(" \n", None, id="blank"),
    ],
)
def test_code_block(text: str, expected: str | None) -> None:
    """Something to paste: all of it or nothing."""
    assert markup.code_block(text, 40) == expected


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        pytest.param("https://a.example/x?b=1&c=2", "<https://a.example/x?b=1&amp;c=2|L>", id="an ordinary one"),
        pytest.param("http://a.example:9090/#/x", "<http://a.example:9090/#/x|L>", id="port and fragment"),
        pytest.param("https://a.example/%3E", "<https://a.example/%3E|L>", id="what is encoded stays"),
        pytest.param(
            'https://a.example/<!here>|"x y', "<https://a.example/%3C!here%3E%7C%22x%20y|L>", id="signs of Slack's"
        ),
        pytest.param("https://a.example/日本", "<https://a.example/%E6%97%A5%E6%9C%AC|L>", id="Japanese path"),
        pytest.param("https://a.example/\u202egpj.exe", "<https://a.example/%E2%80%AEgpj.exe|L>", id="direction"),
        pytest.param("https://a.example/\ud800", "<https://a.example/?|L>", id="a lone surrogate"),
        pytest.param("javascript:alert(1)", None, id="javascript"),
        pytest.param("file:///etc/passwd", None, id="file"),
        pytest.param("//a.example", None, id="no scheme"),
        pytest.param("docs/runbook.md", None, id="a path"),
        pytest.param("https://", None, id="no host"),
        pytest.param("https://[::1", None, id="not an address"),
        pytest.param("https://a.example:port/", None, id="not a port"),
        pytest.param("https://google.example@evil.example/", None, id="a host in disguise"),
        pytest.param("https://good.example\\@evil.example/", None, id="browsers read a back-slash as a slash"),
        pytest.param("https://user:secret@a.example/", None, id="a login"),
        pytest.param("https://a.example/" + "x" * 200, None, id="too long to be shown whole"),
        pytest.param("", None, id="empty"),
    ],
)
def test_link(url: str, expected: str | None) -> None:
    """A link leads where it says, by http or https, or there is none."""
    assert markup.link(url, "L", limit=100) == expected


def test_a_label_cannot_end_its_link() -> None:
    """A bar separates the URL from the label once."""
    assert markup.link("https://a.example", "x|y", limit=100) == "<https://a.example|x¦y>"


@pytest.mark.parametrize(
    ("instant", "expected"),
    [
        pytest.param(
            datetime(2025, 11, 21, 11, 3, 59, tzinfo=UTC),
            "<!date^1763723039^{date_short_pretty} {time}|2025-11-21 11:03 UTC>",
            id="UTC",
        ),
        pytest.param(
            datetime(2025, 11, 21, 20, 3, tzinfo=timezone(timedelta(hours=9))),
            "<!date^1763722980^{date_short_pretty} {time}|2025-11-21 11:03 UTC>",
            id="the fallback is UTC, whatever the zone",
        ),
        pytest.param(datetime(1, 1, 1, tzinfo=UTC), "0001-01-01 00:00 UTC", id="before Slack's time"),
    ],
)
def test_date(instant: datetime, expected: str) -> None:
    """Shown in the reader's zone; where that is not possible, in UTC and saying so."""
    assert markup.date(instant) == expected


@pytest.mark.parametrize(
    ("handle", "expected"),
    [
        pytest.param("S0PAYMENTS", "<!subteam^S0PAYMENTS>", id="a group id calls"),
        pytest.param("@pay-oncall", "@pay-oncall", id="a handle is text"),
        pytest.param("S0PAY> <!channel", "S0PAY&gt; &lt;!channel", id="not an id"),
        pytest.param("U0LEADPAY1", "<@U0LEADPAY1>", id="a person's id calls"),
        pytest.param("W0LEADPAY1", "<@W0LEADPAY1>", id="and that of one of an Enterprise Grid"),
        pytest.param("U0LEAD> <!channel", "U0LEAD&gt; &lt;!channel", id="not a person"),
    ],
)
def test_mention(handle: str, expected: str) -> None:
    """Only the id of a user group or of a person becomes a live mention."""
    assert markup.mention(Mention(handle=handle)) == expected


@given(text=texts, limit=st.integers(min_value=10, max_value=3_000))
def test_nothing_becomes_live(text: str, limit: int) -> None:
    """Whatever the text, nothing of it is a token, a quarter of an entity, or longer than asked."""
    finished = [markup.prose(text, limit), markup.code(text, limit)]
    block = markup.code_block(text, limit)
    if block is not None:
        finished.append(block)
    for markdown in finished:
        assert_nothing_live(markdown)
        assert markup.units(markdown) <= limit
        markdown.encode()
    assert finished[0].count("`") % 2 == 0
    assert finished[1].count("`") in {0, 2}
    assert markup.escaped_units(markup.plain(text, limit)) <= limit


@given(url=st.one_of(texts, texts.map("https://a.example/{}".format), texts.map("https://{}/".format)))
def test_no_url_leaves_its_link(url: str) -> None:
    """A link is one token with one URL, or there is none."""
    link = markup.link(url, "L", limit=3_000)
    if link is not None:
        assert_nothing_live(link, links=("http://", "https://"))
        assert link.endswith("|L>")
        assert link.isascii()
