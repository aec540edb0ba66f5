"""Slack's methods: what each checks, changes and answers. Rules are numbered as in rules.py."""

import base64
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, TypeVar

from router.preview.call import Call, SlackError
from router.preview.content import mentioned, read_content
from router.preview.rules import Rule
from router.preview.workspace import (
    APP_ID,
    BOT_ID,
    BOT_USER_ID,
    TEAM_ID,
    Accepted,
    Channel,
    Content,
    Json,
    Message,
    UsergroupSeed,
    UserSeed,
)

MOST_TEXT: Final = 4_000
CUT_TEXT: Final = 40_000
MARKETPLACE_PAGE: Final = 15
_CHANNEL_ID: Final = re.compile(r"[CG][A-Z0-9]{8,}")
_TS: Final = re.compile(r"\d{1,11}\.\d{6}")
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Method:
    answer: Callable[[Call], Json]
    json_input: bool = False
    scopes: tuple[str, ...] = ()  # one of them is needed
    writes: bool = False


def missing_scope(needed: Iterable[str], provided: frozenset[str]) -> SlackError:
    return SlackError("missing_scope", needed=",".join(needed), provided=",".join(sorted(provided)))


# --- chat ---------------------------------------------------------------------------------------------------------


def _post_message(call: Call) -> Json:
    channel = _channel(call)
    _may_post(call, channel)
    content = read_content(call)
    arguments = call.arguments
    if arguments.flag("unfurl_links") is not False or arguments.flag("unfurl_media") is not False:
        call.violation(Rule.PARSING, "unfurl_links and unfurl_media must be false")
    parent = _parent(call, channel)
    broadcast = bool(arguments.flag("reply_broadcast"))
    if broadcast and parent is None:
        call.violation(Rule.BROADCAST, "reply_broadcast without thread_ts does nothing")
    if call.hidden:
        call.violation(Rule.HIDDEN, "posted over the rate limit; nobody sees this message")
    made = [
        _add(call, channel, part, parent=parent, broadcast=broadcast and parent is not None)
        for part in _parts(call, content)
    ]
    return {"channel": channel.seed.id, "ts": made[0].ts, "message": message_json(made[0], channel, payload=True)}


def _parts(call: Call, content: Content) -> list[Content]:
    """Slack cuts a long text into several messages; with blocks it repeats the whole message for each piece."""
    text = content.text[:CUT_TEXT]
    pieces = [text[start : start + MOST_TEXT] for start in range(0, max(len(text), 1), MOST_TEXT)]
    if len(pieces) == 1:
        return [content]
    call.violation(Rule.TEXT_ON_POST, f"text of {len(content.text)} characters became {len(pieces)} messages")
    return [replace(content, text=text if content.blocks else piece) for piece in pieces]


def _add(call: Call, channel: Channel, content: Content, *, parent: Message | None, broadcast: bool) -> Message:
    message = Message(
        channel=channel.seed.id,
        ts=channel.next_ts(call.now),
        author=BOT_USER_ID,
        revisions=(content,),
        thread_ts=parent.ts if parent else None,
        broadcast=broadcast,
        hidden=call.hidden,
    )
    channel.add(message, call.workspace.keep)
    _record(call, message)
    if not message.hidden:
        for target in mentioned(content):
            call.workspace.notify(target, message)
    return message


def _update(call: Call) -> Json:
    channel = _channel(call, archived="is_inactive")
    message = _own_message(call, channel)
    if call.arguments.text("parse") != "none":
        call.violation(Rule.PARSING, "chat.update parses as `client` unless it is sent parse=none")
    if len(call.arguments.text("text")) > MOST_TEXT:
        raise SlackError("msg_too_long")
    content = read_content(call, before=message.content)
    # An edit of blocks leaves no "(edited)" mark. (https://docs.slack.dev/reference/methods/chat.update/)
    edited_ts = None if content.blocks else f"{call.now:.6f}"
    changed = channel.change(message, content, call.workspace.keep, edited_ts=edited_ts)
    _record(call, changed)
    answer = message_json(changed, channel, payload=True)
    return {"channel": channel.seed.id, "ts": changed.ts, "text": changed.text, "message": answer}


def _delete(call: Call) -> Json:
    channel = _channel(call, archived="is_inactive")
    message = _own_message(call, channel, otherwise="cant_delete_message")
    channel.delete(message)
    _record(call, message)
    return {"channel": channel.seed.id, "ts": message.ts}


def _get_permalink(call: Call) -> Json:
    channel = _channel(call, archived=None)
    message = channel.messages.get(call.arguments.text("message_ts"))
    if message is None:
        raise SlackError("message_not_found")
    link = f"{call.url}archives/{channel.seed.id}/p{message.ts.replace('.', '')}"
    if message.thread_ts:
        link += f"?thread_ts={message.thread_ts}&cid={channel.seed.id}"
    return {"channel": channel.seed.id, "permalink": link}


def _record(call: Call, message: Message) -> None:
    call.workspace.accepted.append(
        Accepted(
            method=call.method,
            delivery_id=message.delivery_id,
            channel=message.channel,
            ts=message.ts,
            at=call.now,
        )
    )


# --- channels, threads, messages ----------------------------------------------------------------------------------


def _channel(call: Call, *, archived: str | None = "is_archived") -> Channel:
    """The channel of this call, if the bot may know of it. `archived`: the code where it is archived; None: fine."""
    asked = call.arguments.text("channel")
    if asked and not _CHANNEL_ID.fullmatch(asked):
        call.violation(Rule.CHANNEL_ID, f"a channel is given by its id, not as {asked[:80]!r}")
    channel = call.workspace.channels.get(asked)
    if channel is None or (channel.seed.private and not channel.seed.member):
        raise SlackError("channel_not_found")
    if archived and channel.seed.archived:
        raise SlackError(archived)
    return channel


def _may_post(call: Call, channel: Channel) -> None:
    seed = channel.seed
    if not seed.member and "chat:write.public" not in call.scopes:
        raise SlackError("not_in_channel")
    if seed.read_only:
        raise SlackError("restricted_action_read_only_channel")
    if seed.shared and not seed.sharing_meant:
        call.violation(Rule.SHARED, "this channel is shared with another company")
    thread_ts = call.arguments.text("thread_ts")
    if not thread_ts and seed.thread_only:
        raise SlackError("restricted_action_thread_only_channel")
    if thread_ts and seed.non_threadable:
        raise SlackError("restricted_action_non_threadable_channel")
    if thread_ts in channel.locked_threads:
        raise SlackError("restricted_action_thread_locked")


def _parent(call: Call, channel: Channel) -> Message | None:
    thread_ts = call.arguments.text("thread_ts")
    if not thread_ts:
        return None
    parent = channel.messages.get(thread_ts)
    if parent is None:
        if not _TS.fullmatch(thread_ts) or (thread_ts not in channel.gone and thread_ts > channel.forgotten_ts):
            call.violation(Rule.THREAD_TS, f"{thread_ts[:40]!r} was never the ts of a message in this channel")
        raise SlackError("thread_not_found")
    if parent.thread_ts is None:
        return parent
    call.violation(Rule.THREAD_TS, f"{thread_ts} is a reply; its parent is {parent.thread_ts}")
    return channel.messages[parent.thread_ts]


def _own_message(call: Call, channel: Channel, *, otherwise: str = "cant_update_message") -> Message:
    message = channel.messages.get(call.arguments.text("ts"))
    if message is None:
        raise SlackError("message_not_found")
    if message.author != BOT_USER_ID:
        raise SlackError(otherwise)
    return message


def message_json(message: Message, channel: Channel, *, payload: bool) -> Json:
    """The message as Slack tells it: with ids, profiles and keys that nobody sent. (rule 34)"""
    content = message.content
    told: Json = {
        "type": "message",
        "user": message.author,
        "team": TEAM_ID,
        "ts": message.ts,
        "text": content.text,
        "x_preview": "Slack adds keys without notice",
    }
    if message.author == BOT_USER_ID:
        told |= {"bot_id": BOT_ID, "app_id": APP_ID, "bot_profile": {"id": BOT_ID, "app_id": APP_ID, "name": "router"}}
    if content.blocks:
        told["blocks"] = [
            {"block_id": f"gen{message.ts[-6:]}{index}", **block} for index, block in enumerate(content.blocks)
        ]
    if content.attachments:
        told["attachments"] = [{"id": index, **held} for index, held in enumerate(content.attachments, start=1)]
    if content.metadata:
        kept = content.metadata if payload else {"event_type": content.metadata["event_type"]}
        told["metadata"] = kept
    if message.edited_ts:
        told["edited"] = {"user": message.author, "ts": message.edited_ts}
    if message.reactions:
        told["reactions"] = [{"name": name, "users": [user], "count": 1} for name, user in message.reactions]
    if message.thread_ts:
        told |= {"thread_ts": message.thread_ts, "parent_user_id": channel.messages[message.thread_ts].author}
        if message.broadcast:
            told["subtype"] = "thread_broadcast"
    elif replies := channel.replies.get(message.ts):
        told |= {"thread_ts": message.ts, "reply_count": len(replies), "latest_reply": replies[-1]}
    return told


# --- reading ------------------------------------------------------------------------------------------------------


def _history(call: Call) -> Json:
    channel = _readable(call)
    newest_first = sorted(channel.shown(), key=lambda message: message.ts, reverse=True)
    return _messages(call, channel, _within(call, newest_first))


def _replies(call: Call) -> Json:
    channel = _readable(call)
    asked = channel.messages.get(call.arguments.text("ts"))
    if asked is None:
        raise SlackError("thread_not_found")
    root_ts = asked.thread_ts or asked.ts
    replies = [reply for reply in channel.thread(root_ts) if not reply.hidden]
    return _messages(call, channel, [channel.messages[root_ts], *_within(call, replies)])


def _readable(call: Call) -> Channel:
    channel = _channel(call, archived=None)
    needed = "groups:history" if channel.seed.private else "channels:history"
    if needed not in call.scopes:
        raise missing_scope([needed], call.scopes)
    if not channel.seed.member:
        raise SlackError("not_in_channel")
    return channel


def _within(call: Call, messages: Iterable[Message]) -> list[Message]:
    oldest, latest = _bound(call, "oldest", -math.inf), _bound(call, "latest", math.inf)
    if call.arguments.flag("inclusive"):
        return [m for m in messages if oldest <= float(m.ts) <= latest]
    return [m for m in messages if oldest < float(m.ts) < latest]


def _bound(call: Call, name: str, default: float) -> float:
    try:
        return float(call.arguments.text(name) or default)
    except ValueError:
        raise SlackError(f"invalid_ts_{name}") from None


def _messages(call: Call, channel: Channel, found: Sequence[Message]) -> Json:
    page, cursor = _page(call, found, most=MARKETPLACE_PAGE if call.marketplace_history else 999)
    payload = bool(call.arguments.flag("include_all_metadata"))
    return {
        "messages": [message_json(message, channel, payload=payload) for message in page],
        "has_more": bool(cursor),
        "response_metadata": {"next_cursor": cursor},
    }


def _page(call: Call, found: Sequence[_T], *, most: int = 999) -> tuple[Sequence[_T], str]:
    """One page and the cursor to the next, empty at the end."""
    limit = max(1, min(call.arguments.number("limit", 100), most))
    start = _position(call.arguments.text("cursor"))
    if start > len(found):
        raise SlackError("invalid_cursor")
    end = start + limit
    return found[start:end], base64.b64encode(f"next:{end}".encode()).decode() if end < len(found) else ""


def _position(cursor: str) -> int:
    if not cursor:
        return 0
    try:
        return int(base64.b64decode(cursor, validate=True).decode().removeprefix("next:"))
    except ValueError:
        raise SlackError("invalid_cursor") from None


def _info(call: Call) -> Json:
    channel = _channel(call, archived=None)
    needed = "groups:read" if channel.seed.private else "channels:read"
    if needed not in call.scopes:
        raise missing_scope([needed], call.scopes)
    return {"channel": _channel_json(channel)}


def _list(call: Call) -> Json:
    kinds = (call.arguments.text("types") or "public_channel").split(",")
    page, cursor = _page(call, list(call.workspace.channels.values()))
    # Slack filters a page after it was cut, so a page may be short, or empty, before the end.
    wanted = [
        channel
        for channel in page
        if ("private_channel" if channel.seed.private else "public_channel") in kinds
        and (channel.seed.member or not channel.seed.private)
        and not (channel.seed.archived and call.arguments.flag("exclude_archived"))
    ]
    return {"channels": [_channel_json(c) for c in wanted], "response_metadata": {"next_cursor": cursor}}


def _join(call: Call) -> Json:
    channel = _channel(call)
    if channel.seed.private:
        raise SlackError("method_not_supported_for_channel_type")
    channel.seed = replace(channel.seed, member=True)
    return {"channel": _channel_json(channel)}


def _channel_json(channel: Channel) -> Json:
    seed = channel.seed
    return {
        "id": seed.id,
        "name": seed.name,
        "is_channel": not seed.private,
        "is_private": seed.private,
        "is_archived": seed.archived,
        "is_member": seed.member,
        "is_read_only": seed.read_only,
        "is_thread_only": seed.thread_only,
        "is_non_threadable": seed.non_threadable,
        "is_ext_shared": seed.shared,
        "is_pending_ext_shared": False,
        "previous_names": [],
    }


# --- people -------------------------------------------------------------------------------------------------------


def _react(call: Call) -> Json:
    channel = _channel(call)
    message = channel.messages.get(call.arguments.text("timestamp"))
    if message is None:
        raise SlackError("message_not_found")
    name = call.arguments.text("name")
    if not re.fullmatch(r"[a-z0-9_+'-]+", name):
        raise SlackError("invalid_name")
    if (name, BOT_USER_ID) in message.reactions:
        raise SlackError("already_reacted")
    channel.messages[message.ts] = replace(message, reactions=(*message.reactions, (name, BOT_USER_ID)))
    return {}


def _usergroups(call: Call) -> Json:
    if not call.workspace.plan_has_usergroups:
        raise SlackError("plan_upgrade_required")
    groups = call.workspace.usergroups.values()
    return {
        "usergroups": [
            _usergroup_json(call, group)
            for group in groups
            if not group.disabled or call.arguments.flag("include_disabled")
        ]
    }


def _usergroup_json(call: Call, group: UsergroupSeed) -> Json:
    told: Json = {
        "id": group.id,
        "team_id": TEAM_ID,
        "is_usergroup": True,
        "handle": group.handle,
        "name": group.name or group.handle,
        "date_delete": int(call.now) if group.disabled else 0,
    }
    if call.arguments.flag("include_users"):
        told["users"] = list(group.users)
    if call.arguments.flag("include_count"):
        told["user_count"] = len(group.users)
    return told


def _user(call: Call) -> Json:
    user: UserSeed | None = call.workspace.users.get(call.arguments.text("user"))
    if user is None:
        raise SlackError("user_not_found")
    return {
        "user": {
            "id": user.id,
            "team_id": TEAM_ID,
            "name": user.name,
            "deleted": user.deleted,
            "is_bot": user.id == BOT_USER_ID,
            "is_restricted": False,
        }
    }


def _auth_test(call: Call) -> Json:
    return {
        "url": call.url,
        "team": "Preview",
        "team_id": TEAM_ID,
        "user": "alert-router",
        "user_id": BOT_USER_ID,
        "bot_id": BOT_ID,
        "is_enterprise_install": False,
    }


# Which method reads JSON is Slack's `json_input_supported` (https://github.com/slack-ruby/slack-api-ref).
METHODS: Final[Mapping[str, Method]] = {
    "auth.test": Method(answer=_auth_test, json_input=True),
    "chat.delete": Method(answer=_delete, json_input=True, scopes=("chat:write",), writes=True),
    "chat.getPermalink": Method(answer=_get_permalink),
    "chat.postMessage": Method(answer=_post_message, json_input=True, scopes=("chat:write",), writes=True),
    "chat.update": Method(answer=_update, json_input=True, scopes=("chat:write",), writes=True),
    "conversations.history": Method(
        answer=_history, json_input=True, scopes=("channels:history", "groups:history", "im:history", "mpim:history")
    ),
    "conversations.info": Method(answer=_info, scopes=("channels:read", "groups:read", "im:read", "mpim:read")),
    "conversations.join": Method(answer=_join, json_input=True, scopes=("channels:join",), writes=True),
    "conversations.list": Method(answer=_list, scopes=("channels:read", "groups:read", "im:read", "mpim:read")),
    "conversations.replies": Method(
        answer=_replies, scopes=("channels:history", "groups:history", "im:history", "mpim:history")
    ),
    "reactions.add": Method(answer=_react, json_input=True, scopes=("reactions:write",), writes=True),
    "usergroups.list": Method(answer=_usergroups, scopes=("usergroups:read",)),
    "users.info": Method(answer=_user, scopes=("users:read",)),
}
