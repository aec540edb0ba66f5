"""Who may send."""

import base64

import pytest

from router.core.errors import CannotStart
from router.core.model import Source
from router.intake.tokens import IntakeTokens, token_for


def bearer(token: str) -> bytes:
    return f"Bearer {token}".encode()


def basic(user: str, password: str) -> bytes:
    return b"Basic " + base64.b64encode(f"{user}:{password}".encode())


TOKENS = IntakeTokens.parse(
    "alertmanager:am-1, alertmanager:am-2\ngrafana:g:with:colons\n\nci.eu-west_1:ci-token\r\n,ops:ケ"
)


@pytest.mark.parametrize(
    ("authorization", "source", "holder"),
    [
        pytest.param(bearer("am-1"), Source.ALERTMANAGER, "alertmanager", id="a source's token"),
        pytest.param(bearer("am-2"), Source.ALERTMANAGER, "alertmanager", id="its second, while rotating"),
        pytest.param(bearer("am-1"), Source.GRAFANA, None, id="another source's path"),
        pytest.param(bearer("g:with:colons"), Source.GRAFANA, "grafana", id="token with colons"),
        pytest.param(bearer("ci-token"), Source.ALERTMANAGER, "ci.eu-west_1", id="a sender, one path"),
        pytest.param(bearer("ci-token"), Source.HONEYBADGER, "ci.eu-west_1", id="a sender, another path"),
        pytest.param(bearer("ケ"), Source.GRAFANA, "ops", id="token beyond ASCII"),
        pytest.param(b"bEARER   ci-token ", Source.GRAFANA, "ci.eu-west_1", id="scheme in any case"),
        pytest.param(basic("anybody", "ci-token"), Source.GRAFANA, "ci.eu-west_1", id="Basic"),
        pytest.param(basic("", "g:with:colons"), Source.GRAFANA, "grafana", id="Basic without a user"),
        pytest.param(basic("ci-token", ""), Source.GRAFANA, None, id="Basic with the token as user"),
        pytest.param(b"Basic ci-token", Source.GRAFANA, None, id="Basic that is no base64"),
        pytest.param(b"Basic \xff\xfe", Source.GRAFANA, None, id="Basic of other bytes"),
        pytest.param(b"Bearer \xff\xfe", Source.GRAFANA, None, id="Bearer of other bytes"),
        pytest.param(b"Bearer", Source.GRAFANA, None, id="no token"),
        pytest.param(b"", Source.GRAFANA, None, id="no header"),
        pytest.param(b"ci-token", Source.GRAFANA, None, id="no scheme"),
        pytest.param(bearer("am-1x"), Source.ALERTMANAGER, None, id="longer"),
        pytest.param(bearer("am-"), Source.ALERTMANAGER, None, id="shorter"),
        pytest.param(bearer("alertmanager:am-1"), Source.ALERTMANAGER, None, id="the whole entry"),
    ],
)
def test_holder(authorization: bytes, source: Source, holder: str | None) -> None:
    """A token opens the path of its source, or every path if it is a sender's; nothing else opens any."""
    assert TOKENS.holder(authorization, source) == holder


@pytest.mark.parametrize(
    ("text", "token"),
    [
        pytest.param("grafana:g,alertmanager:am-1,alertmanager:am-2", "am-1", id="the first of its source"),
        pytest.param("grafana:g,ci:c,alertmanager:am-1", "c", id="a sender's comes first"),
        pytest.param("grafana:g", None, id="another source's"),
        pytest.param("alertmanager:with:colons", "with:colons", id="colons"),
    ],
)
def test_token_for(text: str, token: str | None) -> None:
    """Whoever sends takes a token that opens the path."""
    assert token_for(Source.ALERTMANAGER, text) == token


@pytest.mark.parametrize(
    ("text", "number"),
    [
        pytest.param("sekret", 1, id="no name"),
        pytest.param("a:1,sekret", 2, id="the second"),
        pytest.param("a:1\n\n,\n:sekret", 2, id="empty name, blank lines do not count"),
        pytest.param("a:1,b:2,Alertmanager:sekret", 3, id="capital letter"),
        pytest.param("-a:sekret", 1, id="name begins with a dash"),
        pytest.param("a b:sekret", 1, id="space in the name"),
        pytest.param("a:sek ret", 1, id="space in the token"),
        pytest.param("a: sekret", 1, id="space before the token"),
        pytest.param("sekret:", 1, id="empty token"),
    ],
)
def test_a_bad_entry_stops_the_start(text: str, number: int) -> None:
    """The message counts the entries and never shows one: what looks like a name may be the token."""
    with pytest.raises(CannotStart) as raised:
        IntakeTokens.parse(text)
    assert f"entry {number}:" in str(raised.value)
    assert "sek" not in str(raised.value)


@pytest.mark.parametrize(("text", "some"), [("", False), (" \n,\r\n", False), ("a:b", True)])
def test_whether_there_is_a_token(text: str, some: bool) -> None:
    """Without one, only this machine may send."""
    assert bool(IntakeTokens.parse(text)) is some


def test_tokens_do_not_show_themselves() -> None:
    """Not even where somebody logs the object."""
    assert "am-1" not in repr(TOKENS) + repr(vars(TOKENS))
