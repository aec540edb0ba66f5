"""Why Slack did not take a message, and how long to wait before the next attempt. Pure."""

import re
from collections.abc import Mapping
from datetime import timedelta

from router.core.model import FailureClass

# What Slack documents as errors of chat.postMessage and chat.update, by what each is about.
# (https://docs.slack.dev/reference/methods/chat.postMessage, …/chat.update; msg_too_large is observed only.)
# Left out: the codes about files and drafts, which this router never sends.
_WORDS: Mapping[FailureClass, str] = {
    FailureClass.TRANSIENT: "ratelimited rate_limited request_timeout external_channel_migrating",
    FailureClass.WORKSPACE: "message_limit_exceeded team_added_to_org org_login_required",
    # "It's possible some aspect of the operation succeeded before the error was raised."
    FailureClass.AMBIGUOUS: "fatal_error internal_error service_unavailable update_failed",
    FailureClass.CONTENT: """
        invalid_blocks invalid_blocks_format invalid_attachments attachment_payload_limit_exceeded msg_too_long
        msg_blocks_too_long msg_too_large no_text too_many_attachments too_many_contact_cards markdown_text_conflict
        metadata_too_large invalid_metadata_format invalid_metadata_schema invalid_arguments invalid_arg_name
        invalid_array_arg invalid_charset invalid_form_data invalid_post_type missing_post_type invalid_json
        json_not_object block_mismatch streaming_state_conflict cannot_reply_to_message no_dual_broadcast_content_update
        cant_broadcast_message missing_file_data""",
    FailureClass.CHANNEL: """
        channel_not_found not_in_channel is_archived is_inactive restricted_action restricted_action_read_only_channel
        restricted_action_thread_only_channel restricted_action_non_threadable_channel restricted_action_thread_locked
        channel_is_limited_access ekm_access_denied no_permission team_not_found messages_tab_disabled cannot_dm_bot
        user_not_found method_not_supported_for_channel_type""",
    FailureClass.ROOT_GONE: "message_not_found cant_update_message edit_window_closed thread_not_found",
    FailureClass.APP: """
        invalid_auth not_authed account_inactive token_revoked token_expired missing_scope not_allowed_token_type
        team_access_not_granted access_denied accesslimited app_access_restricted two_factor_setup_required
        enterprise_is_restricted deprecated_endpoint method_deprecated unknown_method metadata_must_be_sent_from_app
        as_user_not_supported send_on_behalf_not_allowed is_bot""",
}
FAILURES: Mapping[str, FailureClass] = {code: failure for failure, codes in _WORDS.items() for code in codes.split()}

# What another company in a shared channel does not want to be sent: canvases, clips, files, lists, and what comes next.
SHARING_BLOCKED = "slack_connect_*_blocked"
_SHARING_BLOCKED = re.compile(re.escape(SHARING_BLOCKED).replace(r"\*", "[a-z_]+"))

# The router's own words, for where Slack said none. `http_*`: any status but 200 and 429 without a word of Slack's.
_SILENCES: Mapping[FailureClass, str] = {
    FailureClass.NOT_SENT: "connect_timed_out connect_failed closed",
    FailureClass.AMBIGUOUS: "timed_out disconnected half_an_answer not_json not_understood history_too_long",
}
SILENCES: Mapping[str, FailureClass] = {word: failure for failure, words in _SILENCES.items() for word in words.split()}
HTTP_STATUS = "http_*"

# Codes that say that what was asked for is so already.
FINE: Mapping[str, frozenset[str]] = {
    "chat.delete": frozenset({"message_not_found"}),
    "reactions.add": frozenset({"already_reacted"}),
    "reactions.remove": frozenset({"no_reaction"}),
}

# Said of a reply only: the channel takes other messages, so it is not the channel that refuses.
REPLIES_REFUSED = frozenset(
    {
        "restricted_action_non_threadable_channel",
        "restricted_action_thread_locked",
        "cannot_reply_to_message",
        "cant_broadcast_message",
    }
)

# An undocumented refusal is tried twice more, then held against the channel: so the fallback channel hears of it.
UNKNOWN_RETRIES = 2

_STEPS_S = (1, 2, 5, 10, 30, 60)
_LONGEST_S = 120
_WORKSPACE_S = 300
_APP_S = 30
_RETRY_AFTER_CEILING_S = 600  # a proxy's "come back in a day" must not silence a channel for a day
_JITTER_SHARE = 0.1
_JITTER_AFTER_S = 0.5  # past Retry-After; before it is a violation


def classify(code: str) -> FailureClass:
    """What Slack's word is about; UNKNOWN for one it does not document."""
    if _SHARING_BLOCKED.fullmatch(code):
        return FailureClass.CONTENT
    return FAILURES.get(code, FailureClass.UNKNOWN)


def is_fine(method: str, code: str) -> bool:
    """Whether this refusal of this method means that nothing is left to do."""
    return code in FINE.get(method, ())


def treated_as(failure: FailureClass, *, attempt: int) -> FailureClass:
    """The class to act on after attempt number `attempt` (from 1): only UNKNOWN changes with the attempts."""
    if failure is not FailureClass.UNKNOWN:
        return failure
    return FailureClass.TRANSIENT if attempt <= UNKNOWN_RETRIES else FailureClass.CHANNEL


def backoff(attempt: int, *, failure: FailureClass, retry_after: timedelta | None, jitter: float) -> timedelta:
    """How long to wait after attempt number `attempt` (from 1) failed: 1, 2, 5, 10, 30, 60 s, then 120 s.

    `retry_after`, clamped to ten minutes, is a floor. `jitter` is a random number in 0..1 and only ever lengthens.
    """
    if failure is FailureClass.WORKSPACE:
        step = _WORKSPACE_S
    elif failure is FailureClass.APP:
        step = _APP_S
    else:
        step = _STEPS_S[attempt - 1] if attempt <= len(_STEPS_S) else _LONGEST_S
    wait_s = step * (1 + _JITTER_SHARE * jitter)
    if retry_after is not None:
        floor_s = min(max(retry_after.total_seconds(), 0.0), _RETRY_AFTER_CEILING_S)
        wait_s = max(wait_s, floor_s + _JITTER_AFTER_S * jitter)
    return timedelta(seconds=wait_s)
