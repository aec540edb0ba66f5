"""How fast Slack may be called. Pure: `now` is monotonic seconds, an argument.

Too fast is worse than refused: above about one message a second in a channel Slack may answer ok and hide the message.
(https://docs.slack.dev/apis/web-api/rate-limits)
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

# A little over Slack's second, from the answer to the last post on: the network cannot squeeze two posts together.
CHANNEL_SPACING_S = 1.05

_SERVED_S = 3_600  # for how long it matters who was served before whom
_ROUNDING = 1e-9  # of a token: sums of floats stay a hair below the whole one


@dataclass(slots=True)
class _Bucket:
    """Tokens that come back at a steady rate. In any minute at most `size + 60 * per_s` are taken."""

    size: float
    per_s: float
    tokens: float
    at: float = 0.0  # when `tokens` was true

    def available(self, now: float) -> float:
        return min(self.size, self.tokens + max(0.0, now - self.at) * self.per_s)

    def take(self, now: float) -> None:
        self.tokens, self.at = self.available(now) - 1, max(now, self.at)

    def whole(self, now: float) -> int:
        return max(0, int(self.available(now) + _ROUNDING))

    def free_at(self, now: float) -> float:
        """When one token is there: `now` or later."""
        missing = 1 - self.available(now)
        return now if missing <= _ROUNDING else now + missing / self.per_s


class Pacing:
    """What may be sent now, and when more. One per process and Slack app; not for use from several threads.

    `closed_until`: for a process that takes over from another one, when it may begin to post. What the other one sent
    counts against the same limits, so no bucket is full then.
    """

    def __init__(self, *, closed_until: float | None = None) -> None:
        def bucket(size: float, per_s: float) -> _Bucket:
            if closed_until is None:
                return _Bucket(size=size, per_s=per_s, tokens=size)
            return _Bucket(size=size, per_s=per_s, tokens=0, at=closed_until - CHANNEL_SPACING_S)

        # "Several hundred messages per minute" for a workspace: 300 in the emulator. At most 20 + 240 here.
        self._posts = bucket(20, 4)
        # 50 edits a minute for app and workspace (Tier 3), not for each channel: edits are what is scarce.
        self._edits = bucket(10, 40 / 60)
        # Tier 3 too, for each method that reads: to look for a message, to ask about a channel. At most 45 together.
        self._reads = bucket(10, 35 / 60)
        self._free_at: dict[str, float] = {}  # channel -> when it may be posted to; only those that must wait
        self._in_flight: set[str] = set()
        self._refused_until: dict[str, float] = {}  # channels that answered 429
        self._posts_paused_until = closed_until or 0.0
        self._edits_paused_until = 0.0
        self._reads_paused_until = 0.0
        self._served: dict[str, float] = {}
        # When each channel was last posted to or edited in; not there: longer ago than any that is. For who is next.
        self.served: Mapping[str, float] = MappingProxyType(self._served)

    def may_post(self, channel: str, now: float) -> bool:
        return channel not in self._in_flight and self.post_at(channel, now) <= now

    def post_at(self, channel: str, now: float) -> float:
        """When the channel takes the next post, if nothing else is posted before: `now` or later."""
        return max(self._posts.free_at(now), self._posts_paused_until, self._free_at.get(channel, now), now)

    def posts_allowed(self, now: float) -> int:
        """How many posts, each to a channel of its own, the workspace takes now."""
        return 0 if self._posts_paused_until > now else self._posts.whole(now)

    def edits_allowed(self, now: float) -> int:
        return 0 if self._edits_paused_until > now else self._edits.whole(now)

    def reads_allowed(self, now: float) -> int:
        """How many times Slack may be asked now: for a page of a channel's history, or about a channel."""
        return 0 if self._reads_paused_until > now else self._reads.whole(now)

    def blocked_channels(self, now: float) -> frozenset[str]:
        """The channels that take no post now, apart from what the workspace takes."""
        self._forget(now)
        return frozenset(self._free_at) | self._in_flight

    def next_free(self, now: float) -> float | None:
        """When something that is closed now opens, later than `now`. None: only an answer in flight opens anything."""
        instants = [
            *self._free_at.values(),
            self._posts_paused_until,
            self._edits_paused_until,
            self._reads_paused_until,
            self._posts.free_at(now),
            self._edits.free_at(now),
            self._reads.free_at(now),
        ]
        return min((instant for instant in instants if instant > now), default=None)

    def post_started(self, channel: str, now: float) -> None:
        """The channel is closed until `post_ended`, however that post ends."""
        self._posts.take(now)
        self._in_flight.add(channel)
        self._served[channel] = now

    def post_ended(self, channel: str, now: float) -> None:
        self._in_flight.discard(channel)
        self.close(channel, now + CHANNEL_SPACING_S)

    def post_left_out(self, channel: str) -> None:
        """There was nothing to send after all."""
        self._in_flight.discard(channel)
        self._posts.tokens += 1

    def edit_started(self, channel: str, now: float) -> None:
        self._edits.take(now)
        self._served[channel] = now

    def read_started(self, now: float) -> None:
        self._reads.take(now)

    def post_refused(self, channel: str, *, until: float, now: float) -> None:
        """Slack answered 429 to a post. It does not say whether the channel or the workspace is meant.

        So the channel pauses, and when a second channel is refused while the first still pauses, all posting does.
        """
        others = [instant for other, instant in self._refused_until.items() if other != channel and instant > now]
        self._refused_until[channel] = until
        self.close(channel, until)
        if others:
            self.pause_posts(max(until, *others))

    def pause_posts(self, until: float) -> None:
        self._posts_paused_until = max(self._posts_paused_until, until)

    def pause_edits(self, until: float) -> None:
        """Slack answered 429 to an edit: its limit is of the workspace."""
        self._edits_paused_until = max(self._edits_paused_until, until)

    def pause_reads(self, until: float) -> None:
        self._reads_paused_until = max(self._reads_paused_until, until)

    def close(self, channel: str, until: float) -> None:
        """Nothing is posted to this channel before; edits are not of it."""
        self._free_at[channel] = max(self._free_at.get(channel, until), until)

    def _forget(self, now: float) -> None:
        for waiting in (self._free_at, self._refused_until):
            for channel in [channel for channel, instant in waiting.items() if instant <= now]:
                del waiting[channel]
        for channel in [channel for channel, at in self._served.items() if at <= now - _SERVED_S]:
            del self._served[channel]
