"""A Slack that accepts everything at once and remembers when it came: `python -m tests.bench.sink PORT`.

For figures and for kills, where the strict emulator's rates would be what is measured. The rules are the emulator's.
"""

import json
import sys
import time
from dataclasses import asdict, dataclass

from aiohttp import web


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One call of the router. `at` is CLOCK_MONOTONIC, which all processes of a machine share."""

    at: float
    method: str
    channel: str
    ts: str  # of the message that was posted or updated
    text: str  # everything that the message says, as the JSON that was sent


class Sink:
    def __init__(self) -> None:
        self.calls: list[Call] = []

    async def api(self, request: web.Request) -> web.Response:
        at = time.monotonic()
        method = request.match_info["method"]
        sent = await request.text()
        message = json.loads(sent) if request.content_type == "application/json" and sent else {}
        channel = str(message.get("channel", ""))
        ts = str(message.get("ts") or f"1763721780.{len(self.calls):06d}")
        self.calls.append(Call(at=at, method=method, channel=channel, ts=ts, text=sent))
        answer = {"ok": True, "channel": channel, "ts": ts, "message": {"ts": ts}}
        identity = {
            "url": "https://example.slack.com/",
            "team": "Example",
            "user": "router",
            "team_id": "T0",
            "user_id": "U0",
        }
        return web.json_response(answer | (identity if method == "auth.test" else {}))

    async def recorded(self, request: web.Request) -> web.Response:
        """The calls from number `since` on, one JSON a line."""
        since = int(request.query.get("since", "0"))
        return web.Response(text="".join(json.dumps(asdict(call)) + "\n" for call in self.calls[since:]))


def main() -> None:
    sink = Sink()
    app = web.Application(client_max_size=1 << 20)
    app.router.add_post("/api/{method}", sink.api)
    app.router.add_get("/calls", sink.recorded)
    web.run_app(app, host="127.0.0.1", port=int(sys.argv[1]), access_log=None, print=None)


if __name__ == "__main__":
    main()
