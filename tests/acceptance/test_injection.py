"""What senders write stays text in Slack, whatever it looks like, in every field that they can fill."""

from typing import Final

from router.preview.blocks import texts
from tests.acceptance.organisation import CHANNELS, alert, body
from tests.router_process import RouterProcess, drained
from tests.slack import SlackServer

HOSTILE: Final = (
    "<!channel> <!here> <!everyone>",
    "<@U0VICTIM01> <#C0SECRET01> <!subteam^S0EVERYONE>",
    "<https://evil.example.com|https://runbooks.example.com>",
    "*bold* _italic_ ~gone~ `code` ```\nblock\n```",
    "&lt;!channel&gt; &amp;lt;!channel&amp;gt;",
    "> quoted\n>>> all of it",
    "@channel @here @everyone #general",
    "\u202egnirif si gnihton\u202c \u2066\u2069\u200f",
    "\x00\x01\x08\x1b[31mred\x7f\x9b",
    "line\r\nbreaks\u2028and\u2029others",
    "<!date^0^{date}|1970> :fire::rotating_light:",
    "x" * 20_000,
    "<" * 5_000,
    "`" * 5_000,
)
TEAMS: Final = (*(team for team in CHANNELS if team is not None), None)


def test_what_senders_write_stays_text(router: RouterProcess, slack: SlackServer) -> None:
    """Each hostile text as alert name, label and annotation, for every team and for nobody: each message arrives,
    breaks no rule of Slack, and calls nobody."""
    for number, text in enumerate(HOSTILE):
        team = TEAMS[number % len(TEAMS)]
        sent = body(
            alert(
                text,
                team=team,
                instance=text,
                summary=text,
                description=text,
                runbook_url=f"https://example.com/{text}",
                dashboard_url=f"javascript:{text}",
            ),
            group=f"hostile-{number}-{text[:20]}",
        )
        assert router.post("/webhooks/alertmanager", sent).status == 200
    status = router.wait_until(drained, 60)
    assert status["messages"]["dead"] == 0

    messages = [message for channel in CHANNELS.values() for message in slack.roots(channel)]
    assert len(messages) == len(HOSTILE)
    for message in messages:
        found = list(texts([*message.content.blocks, *message.content.attachments]))
        # Slack parses mrkdwn and the fallback text; a plain_text shows whatever it holds.
        parsed = [message.text, *(text for kind, text in found if kind == "mrkdwn")]
        for call in ("<!channel", "<!here", "<!everyone", "<!subteam", "<@", "<#", "<https://evil", "<javascript"):
            assert not any(call in text for text in parsed), (call, parsed)
        shown = "".join([message.text, *(text for _, text in found)]).replace("\n", "")
        assert not [character for character in shown if character < " " or "\u202a" <= character <= "\u202e"], shown
    assert slack.emulator.notified == []
