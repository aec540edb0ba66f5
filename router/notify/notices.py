"""What the fallback channel is told about the router's own input. Pure."""

import re
from datetime import datetime

from router.core.heartbeats import Why
from router.core.model import Cause, Language, Mention, Notice
from router.notify import markup, text
from router.notify.layout import (
    DOT,
    FIELD_CEILING,
    Payload,
    context,
    fields_block,
    header_block,
    reference_of,
    section,
    spaced,
)
from router.notify.words import Words, words_in

# As `core.heartbeats.notice_of` writes how a heartbeat was lost.
_LOST = re.compile(r"(silent) since (\S+Z)|(resolved) at (\S+Z)")


def render_notice(notice: Notice, language: Language, mention: Mention | None) -> Payload:
    """A line to the fallback channel about the router's own input."""
    words = words_in(language)
    header = words.notice_headers[notice.cause]
    over, heartbeat = notice.ended_at is not None, notice.cause is Cause.HEARTBEAT
    own = words.the_database if notice.cause is Cause.RESTORED else words.the_map
    source = str(notice.source) if notice.source is not None else own
    subject = markup.plain(notice.subject, 60) or source
    sign = f"✅ {words.over}" if over else "🚨" if heartbeat else "🚧"
    times = f"  ×{notice.count}" if notice.count > 1 else ""
    means = words.heartbeat_back if over and heartbeat else words.notice_means[notice.cause]
    called = markup.mention(mention) if mention is not None and notice.ended_at is None else ""
    lost = _lost(notice)
    error = markup.code(notice.error, FIELD_CEILING - 100) if lost is None else _lost_words(words, lost, spoken=False)
    spoken = markup.prose(notice.error, 300) if lost is None else _lost_words(words, lost, spoken=True)
    look = words.look if notice.reference and not heartbeat else ""
    reference = reference_of(notice.reference) if notice.reference else ""
    return Payload(
        kind="notice",
        text=text.sentences(
            words,
            [
                f"{f'{words.over} ' if over else ''}{header}{times}: {markup.prose(subject, 300)}",
                means.replace("*", ""),
                spoken,
                *([f"ref {markup.prose(notice.reference, 60)}"] if notice.reference else []),
            ],
        ),
        blocks=(
            header_block(f"{sign} {header} · {subject}{times}"),
            section(spaced(means, called)),
            fields_block(
                [
                    (words.happened if heartbeat else words.error, error or "–"),
                    *([(words.source, source)] if notice.source is not None else []),
                    (words.first, markup.date(notice.first_at)),
                    (words.last, markup.date(notice.last_at)),
                    *([(words.closed, markup.date(notice.ended_at))] if notice.ended_at is not None else []),
                ]
            ),
            *([context(DOT.join(part for part in (look, reference) if part))] if notice.reference else []),
        ),
        attachments=(),
        mention=called,
    )


def _lost(notice: Notice) -> tuple[Why, datetime] | None:
    """How and when a heartbeat was lost; None for what says it in other words."""
    found = _LOST.fullmatch(notice.error) if notice.cause is Cause.HEARTBEAT else None
    if found is None:
        return None
    why, instant = (part for part in found.groups() if part is not None)
    try:
        return Why(why), datetime.fromisoformat(instant)
    except ValueError:
        return None


def _lost_words(words: Words, lost: tuple[Why, datetime], *, spoken: bool) -> str:
    why, at = lost
    told = words.heartbeat_lost[why].format(when=markup.utc(at) if spoken else markup.date(at))
    return told[0].upper() + told[1:]
