"""A Slack workspace that is stricter than Slack: what Slack takes and people regret is recorded as a violation."""

import json
import math
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Final

from router.preview.call import Arguments, Call, Request, SlackError, read_arguments
from router.preview.faults import Fault, FaultKind, FaultScript
from router.preview.methods import METHODS, Method, missing_scope
from router.preview.rates import Limiter, Rates
from router.preview.rules import Rule
from router.preview.workspace import (
    Accepted,
    Channel,
    ChannelSeed,
    Content,
    Json,
    Keep,
    Message,
    Notified,
    TokenState,
    UsergroupSeed,
    UserSeed,
    Violation,
    Workspace,
)

PREVIEW_TOKEN: Final = "xoxb-preview"  # noqa: S105 - opens nothing but this emulator
# What docs and the app manifest ask for.
SCOPES: Final = frozenset(
    {
        "channels:history",
        "channels:read",
        "chat:write",
        "groups:history",
        "groups:read",
        "usergroups:read",
        "users:read",
        "users:read.email",
    }
)
_STRICT: Final = Rates.strict()
_KEEP: Final = Keep()
_TOKEN_ERRORS: Final = {
    TokenState.REVOKED: "token_revoked",
    TokenState.INACTIVE: "account_inactive",
    TokenState.EXPIRED: "token_expired",
}
_HTML: Final = "<!DOCTYPE html><html><body><h1>Something went wrong</h1></body></html>"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One HTTP answer; `fault` is what the transport does to it."""

    status: int = 200
    body: str
    content_type: str = "application/json; charset=utf-8"
    headers: Mapping[str, str] = field(default_factory=dict)
    fault: Fault | None = None


class Emulator:
    """One workspace behind one lock: the server's thread calls, any other thread may read and change.

    `changed` is notified after every call and every change, so that a reader can wait for a state.
    """

    def __init__(
        self,
        *,
        clock: Callable[[], float],
        rates: Rates = _STRICT,
        keep: Keep = _KEEP,
        token: str = PREVIEW_TOKEN,
        scopes: frozenset[str] = SCOPES,
        link_hosts: frozenset[str] | None = None,
    ) -> None:
        self.changed = threading.Condition(threading.RLock())
        self.token = token
        self._clock = clock
        self._ahead = 0.0
        self._workspace = Workspace(keep=keep, link_hosts=link_hosts)
        self._limiter = Limiter(rates)
        self._faults = FaultScript()
        self._scopes = scopes
        self._token_state = TokenState.LIVE

    # --- setting the scene

    def seed(
        self,
        *,
        channels: Iterable[ChannelSeed] = (),
        usergroups: Iterable[UsergroupSeed] = (),
        users: Iterable[UserSeed] = (),
    ) -> None:
        """Add these, or change those of the same id; messages stay."""
        with self._change():
            for seed in channels:
                self._workspace.channels.setdefault(seed.id, Channel(seed=seed)).seed = seed
            self._workspace.usergroups |= {group.id: group for group in usergroups}
            self._workspace.users |= {user.id: user for user in users}

    def set_token(self, state: TokenState, *, scopes: frozenset[str] | None = None) -> None:
        """`scopes` None: as before."""
        with self._change():
            self._token_state = state
            self._scopes = self._scopes if scopes is None else scopes

    def set_rates(self, rates: Rates) -> None:
        with self._change():
            self._limiter = Limiter(rates)

    def set_plan(self, *, usergroups: bool) -> None:
        with self._change():
            self._workspace.plan_has_usergroups = usergroups

    def set_link_hosts(self, hosts: frozenset[str] | None) -> None:
        with self._change():
            self._workspace.link_hosts = hosts

    def script(self, *faults: Fault, seed: int = 0) -> None:
        """Replace the fault script; none: all is well again."""
        with self._change():
            self._faults = FaultScript(faults, seed=seed)

    def advance(self, seconds: float) -> None:
        """Move this emulator's clock ahead of the one it was given."""
        with self._change():
            self._ahead += seconds

    def say(self, channel: str, text: str, *, user: str) -> Message:
        """A person writes a message."""
        with self._change():
            place = self._workspace.channels[channel]
            now = self.now()
            message = Message(
                channel=channel, ts=place.next_ts(now), author=user, revisions=(Content(at=now, text=text),)
            )
            place.add(message, self._workspace.keep)
            return message

    def lock_thread(self, channel: str, ts: str) -> None:
        with self._change():
            self._workspace.channels[channel].locked_threads.add(ts)

    # --- reading

    def now(self) -> float:
        return self._clock() + self._ahead

    @property
    def channels(self) -> list[ChannelSeed]:
        with self.changed:
            return [channel.seed for channel in self._workspace.channels.values()]

    @property
    def usergroups(self) -> dict[str, UsergroupSeed]:
        with self.changed:
            return dict(self._workspace.usergroups)

    @property
    def users(self) -> dict[str, UserSeed]:
        with self.changed:
            return dict(self._workspace.users)

    @property
    def violations(self) -> list[Violation]:
        with self.changed:
            return list(self._workspace.violations)

    @property
    def accepted(self) -> list[Accepted]:
        """Every post, update and deletion that took effect, in order, also those whose answer a fault swallowed."""
        with self.changed:
            return list(self._workspace.accepted)

    @property
    def notified(self) -> list[Notified]:
        """Whose phone rang, in order: groups, and their members."""
        with self.changed:
            return list(self._workspace.notified)

    @property
    def calls(self) -> Counter[str]:
        """How often each method was called, whatever the answer."""
        with self.changed:
            return self._workspace.calls.copy()

    def messages(self, channel: str) -> list[Message]:
        """All messages of a channel by rising ts, replies and hidden ones too. Raises KeyError if unknown."""
        with self.changed:
            return list(self._workspace.channels[channel].messages.values())

    def state(self) -> Json:
        """Everything that another process may want to compare."""
        with self.changed:
            return {
                "now": self.now(),
                "channels": {
                    channel.seed.id: {
                        **asdict(channel.seed),
                        "messages": [asdict(message) for message in channel.messages.values()],
                    }
                    for channel in self._workspace.channels.values()
                },
                "accepted": [asdict(entry) for entry in self._workspace.accepted],
                "notified": [asdict(entry) for entry in self._workspace.notified],
                "calls": dict(self._workspace.calls),
                "violations": [asdict(violation) for violation in self._workspace.violations],
            }

    # --- the API

    def call(self, request: Request) -> Answer:
        """What Slack would answer, and what the transport is to do to the answer."""
        with self._change():
            self._workspace.calls[request.method] += 1
            try:
                return self._call(request)
            except SlackError as error:
                return self._refusal(error)

    def _call(self, request: Request) -> Answer:
        method = METHODS.get(request.method)
        if method is None:
            raise SlackError("unknown_method", req_method=request.method)
        arguments = read_arguments(request, json_input=method.json_input)
        channel = arguments.text("channel")
        fault = self._faults.meet(request.method, channel)
        if fault is None:
            return self._obey(request, method, arguments)
        self._break_workspace(fault, channel)
        if fault.takes_effect:
            try:
                answer = self._obey(request, method, arguments)
            except SlackError as error:
                answer = self._refusal(error)
        else:
            answer = Answer(body="")
        if fault.kind is FaultKind.RATE_LIMITED:
            self._limiter.pause(request.method, channel, math.ceil(fault.seconds), self.now())
        return _broken(answer, fault)

    def _obey(self, request: Request, method: Method, arguments: Arguments) -> Answer:
        """The checks in Slack's order: token, scopes, rate, and then what the method itself asks for."""
        now = self.now()
        self._authorise(request, method)
        place = self._workspace.channels.get(arguments.text("channel"))
        ruling = self._limiter.rule(request.method, place.seed.id if place else None, now)
        call = Call(
            method=request.method,
            arguments=arguments,
            workspace=self._workspace,
            scopes=self._scopes,
            now=now,
            url=request.url,
            hidden=ruling.hidden,
            marketplace_history=self._limiter.rates.marketplace_history,
        )
        if ruling.ignored_retry_after:
            call.violation(Rule.RETRY_AFTER, "called again before Retry-After was over")
        if ruling.retry_after is not None:
            return _rate_limited({"retry-after": str(ruling.retry_after)})
        if method.writes and request.verb != "POST":
            call.violation(Rule.METHOD, f"a {request.verb} that writes")
        headers = {"x-oauth-scopes": ",".join(sorted(self._scopes)), "x-accepted-oauth-scopes": ",".join(method.scopes)}
        return Answer(body=_json({"ok": True, **method.answer(call)}), headers=headers)

    def _authorise(self, request: Request, method: Method) -> None:
        kind, _, token = request.authorization.partition(" ")
        if kind.lower() != "bearer" or not token:
            raise SlackError("not_authed")
        if token != self.token:
            raise SlackError("invalid_auth")
        if self._token_state in _TOKEN_ERRORS:
            raise SlackError(_TOKEN_ERRORS[self._token_state])
        if method.scopes and not self._scopes.intersection(method.scopes):
            raise missing_scope(method.scopes[:1], self._scopes)

    def _break_workspace(self, fault: Fault, channel: str) -> None:
        if fault.kind is FaultKind.REVOKE_TOKEN:
            self._token_state = TokenState.REVOKED
        if fault.kind is FaultKind.ARCHIVE_CHANNEL and (place := self._workspace.channels.get(channel)):
            place.seed = replace(place.seed, archived=True)

    def _refusal(self, error: SlackError) -> Answer:
        headers = {"x-oauth-scopes": ",".join(sorted(self._scopes))} if error.code == "missing_scope" else {}
        return Answer(body=_json({"ok": False, "error": error.code, **error.extra}), headers=headers)

    @contextmanager
    def _change(self) -> Iterator[None]:
        """Hold the lock; tell the waiting on the way out."""
        with self.changed:
            try:
                yield
            finally:
                self.changed.notify_all()


def _broken(answer: Answer, fault: Fault) -> Answer:
    """The answer as the client gets it."""
    match fault.kind:
        case FaultKind.SERVER_ERROR:
            return Answer(status=500, body=_HTML, content_type="text/html")
        case FaultKind.HTML:
            return Answer(body=_HTML, content_type="text/html")
        case FaultKind.WRONG_TYPE:
            return replace(answer, body=answer.body or "ok", content_type="text/plain")
        case FaultKind.FATAL_ERROR | FaultKind.INTERNAL_ERROR:
            return Answer(body=_json({"ok": False, "error": fault.kind.value}))
        case FaultKind.SLACK_ERROR:
            return Answer(body=_json({"ok": False, "error": fault.code}))
        case FaultKind.UNAVAILABLE:
            return Answer(status=503, body=_json({"ok": False, "error": "service_unavailable"}))
        case FaultKind.RATE_LIMITED:
            return _rate_limited({"retry-after": str(math.ceil(fault.seconds))})
        case FaultKind.RATE_LIMITED_BARE:
            return _rate_limited({})
        case FaultKind.REVOKE_TOKEN | FaultKind.ARCHIVE_CHANNEL:
            return answer
        case (
            FaultKind.REFUSE | FaultKind.CLOSE | FaultKind.RESET | FaultKind.HANG | FaultKind.HALF_BODY | FaultKind.SLOW
        ):
            return replace(answer, fault=fault)


def _rate_limited(headers: Mapping[str, str]) -> Answer:
    return Answer(status=429, body=_json({"ok": False, "error": "ratelimited"}), headers=headers)


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
