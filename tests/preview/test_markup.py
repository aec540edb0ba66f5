"""Slack's markup, read."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.preview.markup import Break, Date, Link, Mention, MentionKind, Node, Raw, Styled, Text, parse, tokens


@pytest.mark.parametrize(
    ("mrkdwn", "nodes"),
    [
        pytest.param("plain", [Text("plain")], id="plain"),
        pytest.param("a &lt;b&gt; &amp;amp; &quot;", [Text("a <b> &amp; &quot;")], id="three entities"),
        pytest.param("*b* _i_ ~s~", [
            Styled("bold", (Text("b"),)), Text(" "), Styled("italic", (Text("i"),)), Text(" "),
            Styled("strike", (Text("s"),)),
        ], id="styles"),
        pytest.param("snake_case_name 2*3*4", [Text("snake_case_name 2*3*4")], id="no style inside a word"),
        pytest.param("`*a*`", [Styled("code", (Text("*a*"),))], id="code is not styled"),
        pytest.param("a\nb", [Text("a"), Break(), Text("b")], id="lines"),
        pytest.param("&gt; q\nb", [Styled("quote", (Text("q"),)), Text("b")], id="quote"),
        pytest.param("a:\n```- x: {y}\n  z```\nb", [
            Text("a:"), Styled("pre", (Text("- x: {y}\n  z"),)), Text("b"),
        ], id="pre"),
        pytest.param("*<https://e.example|x>*", [Styled("bold", (Link("https://e.example", "x"),))], id="link in bold"),
        pytest.param("see https://e.example/a?b=1&amp;c=2.", [
            Text("see "), Link("https://e.example/a?b=1&c=2", "https://e.example/a?b=1&c=2"), Text("."),
        ], id="bare URL"),
    ],
)  # fmt: skip
def test_parse(mrkdwn: str, nodes: list[Node]) -> None:
    """As Slack shows it."""
    assert list(parse(mrkdwn)) == nodes


@pytest.mark.parametrize(
    ("mrkdwn", "token"),
    [
        pytest.param("<@U0ALICE001>", Mention(MentionKind.USER, "U0ALICE001"), id="user"),
        pytest.param("<@U0ALICE001|alice>", Mention(MentionKind.USER, "U0ALICE001"), id="user with a label"),
        pytest.param("<#C0OWNCHAN1>", Mention(MentionKind.CHANNEL, "C0OWNCHAN1"), id="channel"),
        pytest.param("<!subteam^S0ONCALL01|@oncall>", Mention(MentionKind.USERGROUP, "S0ONCALL01"), id="group"),
        pytest.param("<!here>", Mention(MentionKind.BROADCAST, "here"), id="broadcast"),
        pytest.param("<https://e.example>", Link("https://e.example", "https://e.example"), id="link"),
        pytest.param(
            "<http://e.example/?a=1&amp;b=2|a &amp; b>", Link("http://e.example/?a=1&b=2", "a & b"), id="label"
        ),
        pytest.param("<!date^1763722980^{time}|11:03 UTC>", Date(1763722980, "{time}", "11:03 UTC", None), id="date"),
        pytest.param(
            "<!date^1763722980^{time}^https://e.example|11:03 UTC>",
            Date(1763722980, "{time}", "11:03 UTC", "https://e.example"),
            id="date with a link",
        ),
        pytest.param("<javascript:alert(1)|x>", Raw("<javascript:alert(1)|x>"), id="script"),
        pytest.param("<JAVASCRIPT:alert(1)>", Raw("<JAVASCRIPT:alert(1)>"), id="script in capitals"),
        pytest.param("<data:text/html,x|x>", Raw("<data:text/html,x|x>"), id="data"),
        pytest.param("<mailto:a@e.example|x>", Raw("<mailto:a@e.example|x>"), id="mail"),
        pytest.param("<!date^soon^{time}|x>", Raw("<!date^soon^{time}|x>"), id="date without a number"),
        pytest.param("<>", Raw("<>"), id="nothing"),
        pytest.param("5 < 6", Raw("<"), id="less than"),
    ],
)
def test_token(mrkdwn: str, token: Node) -> None:
    """Each `<…>` is one of Slack's, or raw."""
    assert list(tokens(mrkdwn)) == [token]


@given(st.text(alphabet=st.sampled_from("<>|!@#^*_~`&;\n abcU0C1S/:htp.{}")))
def test_no_text_breaks_the_parser(mrkdwn: str) -> None:
    """Whatever arrives is shown, and every `<` is accounted for."""
    parse(mrkdwn)
    assert len([token for token in tokens(mrkdwn) if isinstance(token, Raw)]) <= mrkdwn.count("<")
    assert bool(list(tokens(mrkdwn))) == ("<" in mrkdwn)
