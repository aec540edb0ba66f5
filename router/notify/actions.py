"""What people can press below a message, while somebody has to do something about it.

The words for what each does are in `core.actions`; `action_id` and the values of options are its words too.
"""

from typing import Any
from zlib import crc32

from router.core.actions import ActionKind
from router.core.model import MessageKind
from router.notify.facts import Facts

SPANS = ("1h", "4h", "1d")
_BLOCK_ID_CEILING = 255


def actions(facts: Facts) -> dict[str, Any] | None:  # Any: Slack's JSON
    """One block: acknowledge, say whose it is, let it rest. None where nobody can answer."""
    card, words = facts.card, facts.words
    if not card.buttons or not facts.open:
        return None
    elements: list[dict[str, Any]] = []  # Any: as above
    if card.acknowledged is None:
        elements.append(
            {
                "type": "button",
                "action_id": str(ActionKind.ACK),
                "style": "primary",
                "text": _plain(words.acknowledge),
                "value": card.incident,
            }
        )
    # Where it was escalated to, "ours" would be another team than the one that has it.
    theirs = card.owner is None or card.kind is MessageKind.ESCALATED
    elements.append(
        {
            "type": "external_select",
            "action_id": str(ActionKind.DISOWN),
            "placeholder": _plain(words.whose if theirs else words.not_ours),
            "min_query_length": 0,  # all teams at once, before anything is typed
        }
    )
    spans = (*SPANS, ActionKind.WAKE) if card.snoozed is not None else SPANS
    elements.append(
        {
            "type": "static_select",
            "action_id": str(ActionKind.SNOOZE),
            "placeholder": _plain(words.snooze_changes if card.snoozed is not None else words.snooze),
            "options": [{"text": _plain(words.snooze_spans[span]), "value": str(span)} for span in spans],
        }
    )
    return {"type": "actions", "block_id": _block_id(facts), "elements": elements}


def _block_id(facts: Facts) -> str:
    """Names the incident, and is another one whenever the block is: Slack keeps what was picked in an old one.

    (https://docs.slack.dev/reference/block-kit/blocks/actions-block)
    """
    card = facts.card
    state = repr((card.acknowledged, card.snoozed, card.owner, card.assigned))
    return f"acts:{card.incident}:{crc32(state.encode('utf-8', 'surrogatepass')):08x}"[:_BLOCK_ID_CEILING]


def _plain(text: str) -> dict[str, Any]:  # Any: as above
    return {"type": "plain_text", "text": text, "emoji": True}
