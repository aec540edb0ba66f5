"""Text that somebody may put into a label or an annotation, and what of it must never become live."""

import re
from collections.abc import Iterator

from hypothesis import strategies as st

from router.notify.layout import Payload

NASTY = (
    "<!channel>",
    "<!here|here>",
    "<@U0LEADPAY1>",
    "<!subteam^S0PAYMENTS>",
    "<#C0PAYALERT>",
    "<https://evil.example|Runbook>",
    "https://evil.example/?a=1&b=<2>|x",
    "&lt;!channel&gt; &amp;amp; &",
    "```\n<!everyone>\n```",
    "`half a span",
    "*bold _italic ~strike",
    "> quote",
    "line\nline\r\nline\u2028line\x85line\x0bline",
    "\x00\x07\x1b[31mred\x7f",
    "\u202egnirts desrever\u202c \u2066isolated\u2069",
    "👩‍👩‍👧‍👦🏴󠁧󠁢󠁥󠁮󠁧󠁿🇯🇵e\u0301" * 30,
    "مرحبا بالعالم שלום",
    "\ud800 lone \udfff surrogates",
    "\u0301" * 200,
    "x" * 10_000,
    "<" * 10_000,
    "&" * 3_000,
    "🔥" * 5_000,
    "日本語" * 3_000,
    '"\\' * 4_000,
    "   ",
    "",
)


def _nasty(index: int) -> str:
    return NASTY[index]


# By index: hypothesis warns about a strategy whose repr would hold these texts.
nasty = st.integers(0, len(NASTY) - 1).map(_nasty)
texts: st.SearchStrategy[str] = st.one_of(
    nasty,
    st.lists(nasty, max_size=3).map("".join),
    st.text(max_size=80),
    st.text(alphabet="<>&|`!@#^*_~\n \u202e日🔥a", max_size=400),
)

_OUR_DATE = r"<!date\^[0-9]+\^[a-z_{} ]+\|[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2} UTC>"
_OUR_LINK = r"<https?://[^<>|\s]+\|[^<>|]*>"
_HALF_ENTITY = re.compile(r"&(?!amp;|lt;|gt;)")


def mrkdwn_of(node: object) -> Iterator[dict[str, object]]:
    """Every mrkdwn object of blocks or attachments."""
    if isinstance(node, dict):
        if node.get("type") == "mrkdwn":
            yield node
        for value in node.values():
            yield from mrkdwn_of(value)
    elif isinstance(node, list | tuple):
        for value in node:
            yield from mrkdwn_of(value)


def assert_nothing_live(text: str, *, links: tuple[str, ...] = (), mention: str = "") -> None:
    """In finished mrkdwn only our own dates, links to these hosts and this mention are live."""
    assert not _HALF_ENTITY.search(text), "an entity was cut"
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f\u202a-\u202e\u2066-\u2069\ud800-\udfff]", text)
    left = re.sub(_OUR_DATE, "", text)
    for link in re.findall(_OUR_LINK, left):
        assert link.startswith(tuple(f"<{host}" for host in links)), link
    left = re.sub(_OUR_LINK, "", left)
    if mention:
        left = left.replace(mention, "")
    assert "<" not in left
    assert ">" not in left


def texts_of(payload: Payload) -> Iterator[str]:
    yield payload.text
    for found in mrkdwn_of([*payload.blocks, *payload.attachments]):
        yield str(found["text"])
    for attachment in payload.attachments:
        yield attachment["fallback"]
