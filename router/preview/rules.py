"""The rules of the emulator by number, so that a violation and its test can name them.

D: documented by Slack (https://docs.slack.dev). O: observed by others, with the thread. S: stricter than Slack on
purpose; such a call records a violation and gets Slack's nearest answer.
"""

from enum import IntEnum


class Rule(IntEnum):
    # The call.
    METHOD = 1  # D a known method, at /api/<method>; S writes by POST
    BODY = 2  # D JSON or form; JSON is an object
    JSON_INPUT = 3  # D reading methods ignore a JSON body
    BEARER = 4  # D the token is in the Authorization header
    TOKEN_STATE = 5  # D live, revoked, inactive, expired
    SCOPES = 6  # D missing_scope says needed and provided
    HTTP_200 = 7  # D errors are HTTP 200, but 429 and 5xx
    # The channel.
    CHANNEL_ID = 8  # D it exists; S it is given by id
    PRIVATE = 9  # O a private channel without the bot is not found
    MEMBERSHIP = 10  # D not_in_channel without chat:write.public
    ARCHIVED = 11  # D is_archived on post and reaction, is_inactive on update
    RESTRICTED = 12  # D read-only, thread-only, non-threadable, locked thread
    SHARED = 13  # S a channel shared with another company is posted to on purpose only
    # The content.
    TEXT_PRESENT = 14  # D no_text; S text beside blocks, for notifications and screen readers
    TEXT_ON_POST = 15  # O above 4,000 characters split or repeated (java-slack-sdk#704, bolt-python#764)
    TEXT_ON_UPDATE = 16  # D above 4,000 characters msg_too_long
    BLOCK_COUNT = 17  # O at most 50
    BLOCK_LIMITS = 18  # D lengths, types; O their JSON pointers
    EXTRA_PROPERTY = 19  # O invalid additional property (bolt-js#1891)
    DUPLICATE_ID = 20  # O action_id and block_id once in a message
    BLOCKS_TOGETHER = 21  # O msg_blocks_too_long (bolt-js#2509, #2867)
    ATTACHMENTS = 22  # D at most 100; O at most 20 blocks in one (bolt-python#914); S a colour is a colour
    ALLOWED_BLOCKS = 23  # S only the block types that we use and check
    METADATA = 24  # D string event_type, object event_payload; S at most 8 KB
    EVENT_PAYLOAD = 25  # O only with include_all_metadata (python-slack-sdk#1501)
    MARKUP = 26  # S known mentions, no broadcast, no raw <, links to listed hosts
    PARSING = 27  # S no link_names, no parse=full; parse=none on update, no unfurling on post
    # Threads, edits, notifications.
    THREAD_TS = 28  # D a parent's exact ts in this channel; S not a reply's
    BROADCAST = 29  # S reply_broadcast only in a thread
    OWN_MESSAGES = 30  # D cant_update_message, message_not_found
    UPDATE = 31  # D what an update replaces and what it keeps
    NOTIFICATIONS = 32  # O an update notifies nobody (jenkinsci/slack-plugin#706)
    TS = 33  # D a string, rising per channel, six decimals
    ECHO = 34  # D the answer's message is not the one sent
    # The rates.
    POST_RATE = 35  # D one a second and channel
    HIDDEN = 36  # D above the limit Slack may take a message and not show it
    WORKSPACE_RATE = 37  # D several hundred posts a minute
    TIERS = 38  # D per method and minute
    RETRY_AFTER = 39  # S no call while told to wait
    # Reading.
    HISTORY = 40  # D membership, bounds, order
    CURSORS = 41  # D to the end, whatever the length of a page
    REACTIONS = 42  # D already_reacted
    PEOPLE = 43  # D deleted users, disabled groups, plans without groups
    AUTH_TEST = 44  # D url, team, user_id, bot_id
