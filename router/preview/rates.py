"""Slack's rate limits: what is let through, what is answered 429 or hidden, and who calls on regardless.

Source: https://docs.slack.dev/apis/web-api/rate-limits/ (1 message per second and channel, several hundred a minute
per workspace; tiers per method, minute, app and workspace).
"""

import math
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Self

POST: Final = "chat.postMessage"
SPECIAL: Final = 600  # "hundreds per minute", without a number of its own
PER_MINUTE: Final[Mapping[str, int]] = {
    "auth.test": SPECIAL,
    "chat.delete": 50,
    "chat.getPermalink": SPECIAL,
    "chat.update": 50,
    "conversations.history": 50,
    "conversations.info": 50,
    "conversations.join": 50,
    "conversations.list": 20,
    "conversations.replies": 50,
    "reactions.add": 50,
    "usergroups.list": 20,
    "users.info": 100,
}

# A client that sends exactly once a second arrives a little early now and then. The bucket lends that much and takes it
# back from the next second, so the rate over time is unchanged.
ARRIVAL_JITTER_S: Final = 0.1
# Calls that were under way when the 429 was answered do not ignore it.
UNDER_WAY_S: Final = 0.05


class OverLimit(StrEnum):
    REFUSE = "refuse"
    HIDE = "hide"  # ok:true, and nobody sees the message


@dataclass(frozen=True, slots=True, kw_only=True)
class Rates:
    """The limits of a workspace. Infinity switches one off."""

    burst: int = 0  # posts that a channel takes beyond one a second
    posts_per_second: float = 1  # per channel
    posts_per_minute: float = 300  # per workspace
    tiers: bool = True  # the per-minute limits of the other methods
    over_limit: OverLimit = OverLimit.REFUSE
    # Apps distributed outside Slack's Marketplace read history once a minute, 15 messages a page, since 2025-05-29.
    marketplace_history: bool = False

    @classmethod
    def strict(cls) -> Self:
        return cls()

    @classmethod
    def lenient(cls) -> Self:
        """What people report of the real Slack: some tens of posts before the first 429."""
        return cls(burst=10)

    @classmethod
    def unlimited(cls) -> Self:
        return cls(posts_per_second=math.inf, posts_per_minute=math.inf, tiers=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ruling:
    retry_after: int | None = None  # seconds; None: let through
    hidden: bool = False
    ignored_retry_after: bool = False


class Bucket:
    """A token bucket that starts full."""

    def __init__(self, per_second: float, burst: int, now: float) -> None:
        self._per_second = per_second
        self._most = 1 + burst
        self._tokens = float(self._most)
        self._at = now

    def wait(self, now: float) -> float:
        """Seconds until a token may be taken; 0 if now."""
        if math.isinf(self._per_second):
            return 0
        self._tokens = min(self._most, self._tokens + (now - self._at) * self._per_second)
        self._at = now
        return 0 if self._tokens >= 1 - ARRIVAL_JITTER_S * self._per_second else (1 - self._tokens) / self._per_second

    def take(self) -> None:
        self._tokens -= 1


class Window:
    """At most `limit` in any 60 seconds."""

    def __init__(self, limit: float) -> None:
        self._limit = limit
        self._taken: deque[float] = deque()

    def wait(self, now: float) -> float:
        while self._taken and now - self._taken[0] >= 60:
            self._taken.popleft()
        return 0 if len(self._taken) < self._limit else 60 - (now - self._taken[0])

    def take(self, now: float) -> None:
        if not math.isinf(self._limit):
            self._taken.append(now)


@dataclass(frozen=True, slots=True)
class Pause:
    began: float
    until: float


class Limiter:
    """One app's use of its limits."""

    def __init__(self, rates: Rates) -> None:
        self.rates = rates
        self._buckets: dict[str, Bucket] = {}
        self._windows: dict[str, Window] = {}
        self._pauses: dict[str, dict[str, Pause]] = {}

    def rule(self, method: str, channel: str | None, now: float) -> Ruling:
        """What becomes of this call. One that is let through has used its share; one answered 429 starts a pause.

        `channel` is None where the call names none that exists.
        """
        pause = self._pause(method, channel or "", now)
        if pause is not None:
            return Ruling(retry_after=math.ceil(pause.until - now), ignored_retry_after=now - pause.began > UNDER_WAY_S)
        window = self._window(method)
        bucket = self._bucket(channel, now) if method == POST and channel else None
        wait = max(window.wait(now), bucket.wait(now) if bucket else 0)
        if wait <= 0:
            window.take(now)
            if bucket:
                bucket.take()
            return Ruling()
        if method == POST and self.rates.over_limit is OverLimit.HIDE:
            return Ruling(hidden=True)
        retry_after = math.ceil(wait)
        self.pause(method, channel or "", retry_after, now)
        return Ruling(retry_after=retry_after)

    def pause(self, method: str, channel: str, seconds: float, now: float) -> None:
        self._pauses.setdefault(method, {})[channel] = Pause(now, now + seconds)

    def _pause(self, method: str, channel: str, now: float) -> Pause | None:
        """The 429 that this call should be waiting for.

        A 429 to a post does not say whether the channel or the workspace is full. So it binds the channel it named, and
        the whole method once two channels have one; any other method it binds at once.
        """
        pauses = self._pauses.get(method)
        if not pauses:
            return None
        live = {name: pause for name, pause in pauses.items() if pause.until > now}
        self._pauses[method] = live
        if not live or (method == POST and len(live) == 1 and channel not in live):
            return None
        return live.get(channel) or min(live.values(), key=lambda pause: pause.until)

    def _bucket(self, channel: str, now: float) -> Bucket:
        if channel not in self._buckets:
            self._buckets[channel] = Bucket(self.rates.posts_per_second, self.rates.burst, now)
        return self._buckets[channel]

    def _window(self, method: str) -> Window:
        if method not in self._windows:
            self._windows[method] = Window(self._per_minute(method))
        return self._windows[method]

    def _per_minute(self, method: str) -> float:
        if method == POST:
            return self.rates.posts_per_minute
        if self.rates.marketplace_history and method in ("conversations.history", "conversations.replies"):
            return 1
        return PER_MINUTE[method] if self.rates.tiers else math.inf
