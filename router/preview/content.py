"""What a message may say: text, blocks, attachments, metadata and markup of one post or update. (rules 14 to 27)"""

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from router.preview import blocks, markup
from router.preview.call import Arguments, Call, SlackError
from router.preview.markup import Date, Link, Mention, MentionKind, Raw
from router.preview.rules import Rule
from router.preview.workspace import Content, Json


def read_content(call: Call, *, before: Content | None = None) -> Content:
    """The content that this call asks for, checked; on an update what it leaves of `before`. (rule 31)"""
    arguments = call.arguments
    new_blocks = arguments.objects("blocks", otherwise="invalid_blocks_format")
    new_attachments = arguments.objects("attachments", otherwise="invalid_attachments")
    text = arguments.text("text")
    if not (text or new_blocks or new_attachments):
        raise SlackError("no_text")
    if not text.strip():
        call.violation(Rule.TEXT_PRESENT, "no text: notifications and screen readers have nothing to say")
    if arguments.flag("link_names") or arguments.text("parse") == "full":
        call.violation(Rule.PARSING, "link_names and parse=full turn data into mentions")
    metadata = _metadata(arguments)
    _check_blocks(call, new_blocks or (), new_attachments or ())
    _check_markup(call, text, new_blocks or (), new_attachments or ())
    if before is None:
        return Content(
            at=call.now,
            text=text,
            blocks=new_blocks or (),
            attachments=new_attachments or (),
            metadata=metadata or None,
        )
    return Content(
        at=call.now,
        text=text or before.text,
        blocks=new_blocks or (),
        attachments=before.attachments if new_attachments is None else new_attachments,
        metadata=before.metadata if metadata is None else metadata or None,
    )


def _metadata(arguments: Arguments) -> Json | None:
    """None if not given; empty if an update takes it away."""
    metadata = arguments.json("metadata", otherwise="invalid_metadata_format")
    if metadata is None or metadata == {}:
        return {} if metadata == {} else None
    if error := blocks.metadata_error(metadata):
        raise SlackError(error)
    return dict(metadata)


def _check_blocks(call: Call, new_blocks: Sequence[Json], attachments: Sequence[Json]) -> None:
    report = blocks.Report()
    blocks.check_blocks(new_blocks, "/blocks", report)
    if report.defects:
        raise _invalid("invalid_blocks", report)
    if len(attachments) > blocks.MOST_ATTACHMENTS:
        raise SlackError("too_many_attachments")
    blocks.check_attachments(attachments, report)
    if report.defects:
        raise _invalid("invalid_attachments", report)
    for found in report.not_allowed:
        call.violation(Rule.ALLOWED_BLOCKS, f"not a block or element of ours: {found}")
    if blocks.blocks_too_long(new_blocks, attachments):
        raise SlackError("msg_blocks_too_long")


def _invalid(code: str, report: blocks.Report) -> SlackError:
    messages = [f"[ERROR] {defect}" for defect in report.defects]
    return SlackError(code, errors=report.defects, response_metadata={"messages": messages})


def _mrkdwn(text: str, new_blocks: Sequence[Json], attachments: Sequence[Json]) -> list[str]:
    """Every text of a message that Slack reads markup in."""
    structures = [*new_blocks, *attachments]
    legacy = [attachment.get(name, "") for attachment in attachments for name in ("pretext", "text")]
    return [text, *legacy, *(inner for kind, inner in blocks.texts(structures) if kind == "mrkdwn")]


def _check_markup(call: Call, text: str, new_blocks: Sequence[Json], attachments: Sequence[Json]) -> None:
    workspace = call.workspace
    known: Mapping[MentionKind, Mapping[str, Any]] = {
        MentionKind.USER: workspace.users,
        MentionKind.USERGROUP: workspace.usergroups,
        MentionKind.CHANNEL: workspace.channels,
    }
    for mrkdwn in _mrkdwn(text, new_blocks, attachments):
        for token in markup.tokens(mrkdwn):
            match token:
                case Mention(of=MentionKind.BROADCAST):
                    call.violation(Rule.MARKUP, f"<!{token.id}> notifies a whole channel")
                case Mention() if token.id not in known[token.of]:
                    call.violation(Rule.MARKUP, f"mention of an unknown {token.of}: {token.id}")
                case Raw():
                    call.violation(Rule.MARKUP, f"not markup of Slack's and not escaped: {token.text[:80]}")
                case Link() | Date() if token.url and not _listed(token.url, workspace.link_hosts):
                    call.violation(Rule.MARKUP, f"link to a host that is not listed: {token.url[:80]}")
                case _:
                    pass


def _listed(url: str, hosts: frozenset[str] | None) -> bool:
    if hosts is None:
        return True
    try:
        return urlsplit(url).hostname in hosts
    except ValueError:  # a bracket that opens no IPv6 address
        return False


def mentioned(content: Content) -> set[str]:
    texts = _mrkdwn(content.text, content.blocks, content.attachments)
    tokens = (token for text in texts for token in markup.tokens(text))
    return {t.id for t in tokens if isinstance(t, Mention) and t.of in (MentionKind.USER, MentionKind.USERGROUP)}
