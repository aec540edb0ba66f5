"""Slack's markup, written safely: the only place where text from outside becomes part of a message.

Everything here returns finished mrkdwn, apart from `plain`. What comes from labels, annotations or the map's free texts
can never call somebody, disguise a link or leave its own place.
(https://docs.slack.dev/messaging/formatting-message-text: only &, < and > are special, everything else is text)
"""

import re
import unicodedata
from datetime import UTC, datetime
from urllib.parse import quote, urlsplit

from router.core.model import Mention

CUT = "…"
_GROUP_ID = re.compile(r"S[A-Z0-9]{6,}")
_PERSON_ID = re.compile(r"[UW][A-Z0-9]{8,}")
_LONGEST_ID = 30
_URL_UNCHANGED = "%:/?#[]@!$&'()*+,;=-._~"  # what RFC 3986 allows; the rest, with <>|" and blanks, is percent-encoded

# Characters that reverse or reorder what is read; joiners (U+200C, U+200D) stay, emoji and Persian need them.
_REORDERING = {*range(0x202A, 0x202F), *range(0x2066, 0x206A), 0x061C, 0x200E, 0x200F}
_DROPPED_OR_REPLACED: dict[int, str | None] = {
    **dict.fromkeys({*range(0x20), *range(0x7F, 0xA0), *_REORDERING}),
    ord("\t"): " ",
    **dict.fromkeys(range(0xD800, 0xE000), "\N{REPLACEMENT CHARACTER}"),  # JSON allows lone surrogates, UTF-8 does not
}
_LONGEST_GRAPHEME = 40  # longer ones are an attack; a family of four with skin tones has 11


def units(text: str) -> int:
    """The length as Slack may count it: UTF-16 code units, which is never less than characters."""
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def prose(text: str, limit: int) -> str:
    """Text from outside on one line, escaped, at most `limit` units. Its * _ ~ and closed `code` keep their effect."""
    line = _fit(one_line(text, limit), limit)
    closed = "```" not in line and line.count("`") % 2 == 0
    return _escape(line if closed else line.replace("`", "ˋ"))


def code(text: str, limit: int) -> str:
    """Text from outside as a code span, at most `limit` units with its ticks. Empty text gives an empty string."""
    line = _fit(one_line(text, limit), limit - 2).replace("`", "ˋ")
    return f"`{_escape(line)}`" if line else ""


def code_block(text: str, limit: int) -> str | None:
    """Text to copy, its lines kept. None if it does not fit: half a command is worse than none."""
    if len(text) > limit:
        return None
    lines = "\n".join(line.translate(_DROPPED_OR_REPLACED).rstrip() for line in text.splitlines()).strip("\n")
    if not lines.strip():
        return None
    if "`" in {lines[0], lines[-1]}:
        lines = f" {lines} "  # or it would grow the fence
    block = f"```{_escape(lines.replace('```', 'ˋˋˋ'))}```"
    return block if units(block) <= limit else None


def plain(text: str, limit: int) -> str:
    """Text from outside for a plain_text object, where nothing is special. Still counted as if it were escaped."""
    return _fit(one_line(text, limit), limit)


def one_line(text: str, limit: int) -> str:
    """Without control and direction characters and on one line; cut where it cannot fit into `limit` anyway."""
    lines = text[: 8 * limit + 100].splitlines()  # nobody reads on, and nobody has to clean 16 MB
    cleaned = (line.translate(_DROPPED_OR_REPLACED).strip() for line in lines)
    return " ⏎ ".join(line for line in cleaned if line)


def escaped_units(text: str) -> int:
    """What the text counts if Slack counts it escaped."""
    return units(_escape(text))


def bare_url(url: str, limit: int) -> str | None:
    """The URL itself, for text that cannot hide one behind a label."""
    safe = safe_url(url) if len(url) <= limit else None
    return _escape(safe) if safe is not None and units(_escape(safe)) <= limit else None


def link(url: str, label: str, *, limit: int) -> str | None:
    """A link whose label is already safe markup. None for anything but an honest http(s) URL that fits."""
    safe = safe_url(url) if len(url) <= limit else None
    if safe is None:
        return None
    token = f"<{_escape(safe)}|{label.replace('|', '¦')}>"
    return token if units(token) <= limit else None


def safe_url(url: str) -> str | None:
    """The URL with everything encoded that RFC 3986 does not allow. None if it is not http(s) or carries a login."""
    encoded = quote(url.strip(), safe=_URL_UNCHANGED, errors="replace")
    try:
        parts = urlsplit(encoded)
        host = parts.hostname
        parts.port  # noqa: B018  # raises ValueError for a port that is none
    except ValueError:
        return None
    # user@host disguises the host, and user:password@host tells the channel a secret
    honest = parts.scheme in {"http", "https"} and host and "@" not in parts.netloc
    return encoded if honest else None


def host_of(url: str) -> str:
    """Empty if there is no safe link to make of the URL."""
    safe = safe_url(url)
    return "" if safe is None else urlsplit(safe).hostname or ""


def date(instant: datetime, *, day: bool = True) -> str:
    """The instant in the reader's own zone and language; clients that cannot, and screen readers, get the full UTC."""
    form = "{date_short_pretty} {time}" if day else "{time}"
    fallback = utc(instant)
    unix = int(instant.timestamp())
    return f"<!date^{unix}^{form}|{fallback}>" if unix > 0 else fallback


def utc(instant: datetime) -> str:
    return f"{instant.astimezone(UTC).isoformat(sep=' ')[:16]} UTC"


def mention(who: Mention) -> str:
    """Calls the user group, or the person, of an id; a handle is only text, which Slack does not resolve."""
    group = who.group_id
    if group is not None and _GROUP_ID.fullmatch(group):
        return f"<!subteam^{group}>"
    if _PERSON_ID.fullmatch(who.handle):
        return f"<@{who.handle}>"
    return prose(who.handle, 80)


def person(id: str) -> str | None:
    """The token that shows the name of a Slack user, and calls that one where it is posted; None for what is no id."""
    return f"<@{id}>" if _PERSON_ID.fullmatch(id) and len(id) <= _LONGEST_ID else None


def _escape(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _fit(line: str, limit: int) -> str:
    """As much of the line as has `limit` units once it is escaped, cut between graphemes."""
    if escaped_units(line) <= limit:
        return line
    room, end = limit - units(CUT), 0
    for character in line:
        room -= escaped_units(character)
        if room < 0:
            break
        end += 1
    borders = range(end, max(0, end - _LONGEST_GRAPHEME), -1)
    return line[: next((border for border in borders if _is_border(line, border)), end)].rstrip() + CUT


def _is_border(line: str, index: int) -> bool:
    """Whether a grapheme ends before `index`: what matters of Unicode's UAX #29 for a cut, without its tables."""
    if index >= len(line):
        return True
    before, after = line[index - 1], line[index]
    joins = (
        after == "\u200d"
        or before == "\u200d"
        or unicodedata.category(after) in {"Mn", "Mc", "Me"}  # accents, vowel signs, variation selectors, keycaps
        or "\U0001f3fb" <= after <= "\U0001f3ff"  # skin tones
        or "\U000e0020" <= after <= "\U000e007f"  # the letters of England's flag
        or "\u1160" <= after <= "\u11ff"  # Hangul syllables in parts
        or unicodedata.combining(before) == 9  # virama: the next consonant belongs to the cluster
        or (_is_regional(after) and _regionals_before(line, index) % 2 == 1)
    )
    return not joins


def _is_regional(character: str) -> bool:
    return "\U0001f1e6" <= character <= "\U0001f1ff"


def _regionals_before(line: str, index: int) -> int:
    count = 0
    while count < index and _is_regional(line[index - 1 - count]):
        count += 1
    return count
