"""Rules 1 to 7: methods, bodies, tokens, scopes."""

import pytest

from router.preview.emulator import SCOPES
from router.preview.workspace import TokenState
from tests.preview.workspace import ALICE, OWN, POST, Client

FORM = "application/x-www-form-urlencoded"


@pytest.mark.parametrize(
    ("content_type", "body", "error"),
    [
        pytest.param("application/json", b"{", "invalid_json", id="2-cut off"),
        pytest.param("application/json", b"[" * 100_000, "invalid_json", id="2-very deep"),
        pytest.param("application/json", b'{"text": NaN}', "invalid_json", id="2-not a number"),
        pytest.param("application/json", b'{"text": "\\ud800"}', "invalid_json", id="2-half a surrogate pair"),
        pytest.param("application/json", b"\xff", "invalid_json", id="2-not UTF-8"),
        pytest.param("application/json", b"[1]", "json_not_object", id="2-a list"),
        pytest.param("text/plain", b"text=hello", "invalid_post_type", id="2-another type"),
        pytest.param(None, b"text=hello", "missing_post_type", id="2-no type"),
    ],
)
def test_a_body_that_cannot_be_read_is_refused(
    client: Client, content_type: str | None, body: bytes, error: str
) -> None:
    """Slack says what is wrong with a body, in HTTP 200 (rule 7)."""
    reply = client.send("chat.postMessage", body=body, content_type=content_type)
    assert (reply.status, reply.error) == (200, error)


@pytest.mark.parametrize("verb", ["GET", "POST"])
def test_1_unknown_method(client: Client, verb: str) -> None:
    """A method that Slack does not have is told by name."""
    reply = client.send("chat.postMassage", verb=verb, body=b"{}" if verb == "POST" else b"")
    assert (reply.status, reply.error, reply.body["req_method"]) == (200, "unknown_method", "chat.postMassage")


def test_1_a_write_by_get_is_a_violation(client: Client) -> None:
    """Slack takes it; arguments in the address end in everybody's access log."""
    query = "channel=C0OWNCHAN1&text=hello&unfurl_links=0&unfurl_media=0"
    reply = client.send("chat.postMessage", verb="GET", query=query, body=b"", content_type=None)
    assert reply.body["ok"]
    assert [violation.rule for violation in client.emulator.violations] == [1]


def test_2_a_form_is_read_like_json(client: Client) -> None:
    """Blocks and metadata are strings of JSON in a form."""
    body = (
        b"channel=C0OWNCHAN1&text=hello&unfurl_links=false&unfurl_media=0"
        b"&blocks=%5B%7B%22type%22%3A%22divider%22%7D%5D"
        b"&metadata=%7B%22event_type%22%3A%22t%22%2C%22event_payload%22%3A%7B%22delivery_id%22%3A%22d1%22%7D%7D"
    )
    assert client.send("chat.postMessage", body=body, content_type=FORM).body["ok"]
    [message] = client.emulator.messages(OWN)
    assert (message.text, message.content.blocks, message.delivery_id) == ("hello", ({"type": "divider"},), "d1")
    assert client.emulator.violations == []


@pytest.mark.parametrize(
    ("method", "arguments", "error"),
    [
        pytest.param("conversations.info", {"channel": OWN}, "channel_not_found", id="3-conversations.info"),
        pytest.param("conversations.replies", {"channel": OWN, "ts": "1"}, "channel_not_found", id="3-replies"),
        pytest.param("users.info", {"user": ALICE}, "user_not_found", id="3-users.info"),
        pytest.param("chat.getPermalink", {"channel": OWN}, "channel_not_found", id="3-getPermalink"),
    ],
)
def test_reading_methods_ignore_a_json_body(client: Client, method: str, arguments: dict[str, str], error: str) -> None:
    """The arguments are as good as missing."""
    assert client.call(method, **arguments).error == error


@pytest.mark.parametrize(
    ("authorization", "body", "error"),
    [
        pytest.param(None, b"{}", "not_authed", id="4-none"),
        pytest.param(None, b'{"token": "xoxb-preview"}', "not_authed", id="4-in the body"),
        pytest.param("Basic eDp5", b"{}", "not_authed", id="4-another scheme"),
        pytest.param("Bearer xoxb-wrong", b"{}", "invalid_auth", id="4-wrong"),
    ],
)
def test_the_token_is_a_bearer_in_the_header(
    client: Client, authorization: str | None, body: bytes, error: str
) -> None:
    """Nowhere else is it looked for."""
    assert client.send("auth.test", body=body, authorization=authorization).error == error


@pytest.mark.parametrize(
    ("state", "error"),
    [
        pytest.param(TokenState.REVOKED, "token_revoked", id="5-revoked"),
        pytest.param(TokenState.INACTIVE, "account_inactive", id="5-inactive"),
        pytest.param(TokenState.EXPIRED, "token_expired", id="5-expired"),
    ],
)
def test_a_token_can_die_and_come_back(client: Client, state: TokenState, error: str) -> None:
    """Every method is refused meanwhile."""
    client.emulator.set_token(state)
    assert client.call("auth.test").error == error
    assert client.call("chat.postMessage", **POST).error == error
    client.emulator.set_token(TokenState.LIVE)
    client.post()


def test_6_a_missing_scope_is_named(client: Client) -> None:
    """The answer says what is needed and what the token has."""
    client.emulator.set_token(TokenState.LIVE, scopes=SCOPES - {"chat:write"})
    reply = client.call("chat.postMessage", **POST)
    assert (reply.error, reply.body["needed"]) == ("missing_scope", "chat:write")
    assert "chat:write" not in reply.body["provided"].split(",")
    assert reply.headers["x-oauth-scopes"] == reply.body["provided"]


def test_6_an_answer_names_the_scopes(client: Client) -> None:
    """X-OAuth-Scopes is how a client learns what its token may do."""
    headers = client.call("chat.postMessage", **POST).headers
    assert set(headers["x-oauth-scopes"].split(",")) == SCOPES
    assert headers["x-accepted-oauth-scopes"] == "chat:write"


def test_7_errors_are_http_200(client: Client) -> None:
    """Only the body says that nothing was done."""
    reply = client.call("chat.postMessage", **{**POST, "channel": "C0NOTHERE1"})
    assert (reply.status, reply.body) == (200, {"ok": False, "error": "channel_not_found"})
