"""`router drill`: a marked test alert on the way that real ones take, until somebody could see it in Slack."""

import json
import os
import secrets
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Final

import click

from router.asking import Json, RunningRouter, TokenKind
from router.config import secret
from router.core.enrichment import parse_duration
from router.core.errors import CannotStart, NotAnswered
from router.core.model import DRILL_ANNOTATION, DRILL_RECEIVER, AlertStatus, Source
from router.intake.tokens import token_for
from router.options import pairs, router_option
from router.printing import print_text

VERSION: Final = 1
NO: Final = 1
BAD_INPUT: Final = 2

_PAGE: Final = 50  # of the incidents: that of a drill is among the newest
_FIRST_PAUSE_S: Final = 0.05
_LONGEST_PAUSE_S: Final = 0.5


def _seconds(_context: click.Context, _parameter: click.Parameter, text: str) -> float:
    try:
        return parse_duration(text).total.total_seconds()
    except ValueError as exc:
        raise click.BadParameter(f"{exc}.") from exc


def _drill_id(_context: click.Context, _parameter: click.Parameter, text: str | None) -> str | None:
    if text is not None and (len(text) != 16 or set(text) - set("0123456789abcdef")):
        raise click.BadParameter(f"{text!r} is not the id of a drill. They look like 4f0c9d1b7a2e6835.")
    return text


@click.command(
    short_help="Send a marked test alert, and see whether it arrives.",
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.argument("labels", metavar="[LABEL=VALUE]...", nargs=-1)
@click.option("--expect", metavar="TEAM", help="Exit 1 unless this team owns it.")
@click.option(
    "--timeout",
    "timeout_s",
    metavar="DURATION",
    default="60s",
    show_default=True,
    callback=_seconds,
    help="How long to wait, for the message and again for its end.",
)
@click.option("--keep-firing", is_flag=True, help="Do not end it: --end does.")
@click.option("--end", metavar="ID", callback=_drill_id, help="End a drill that still fires, and send no other.")
@click.option("--json", "as_json", is_flag=True, help="Answer for programs; stable, versioned.")
@router_option()
@click.pass_context
def drill(
    context: click.Context,
    labels: tuple[str, ...],
    expect: str | None,
    timeout_s: float,
    keep_firing: bool,
    end: str | None,
    as_json: bool,
    url: str,
) -> None:
    """Send a test alert with these labels through a running router, wait until Slack shows it, and end it.

    \b
    router drill team=payments severity=critical
    router drill alertname=KubeJobFailed namespace=batch --expect data-platform

    It goes the way of a real alert: it is stored, its owner is found, and the message mentions the owner's on-call.
    The message says that it is a drill and that nothing is broken. Without an alertname it is called Drill.

    The router's tokens are taken from where `router serve` takes them: ROUTER_INTAKE_TOKENS to send, where it has
    any, and ROUTER_ADMIN_TOKEN to look, on another machine; each variable, or the file that it names with _FILE
    appended.

    Exits 0 if the message and its end were delivered, to the fallback channel if nobody owns it; 1 if not, or if
    --expect names another team; 2 if the router does not answer or refuses.
    """
    if end is not None and (labels or expect is not None or keep_firing):
        raise click.UsageError("--end only ends a drill: give no labels, no --expect and no --keep-firing.")
    given = {"alertname": "Drill", **pairs(labels, "LABEL")}
    try:
        run = _Run(
            id=end or secrets.token_hex(8),
            labels=given,
            sender=RunningRouter(url, token=_intake_token(), kind=TokenKind.INTAKE),
            asker=RunningRouter(url, token=secret(TokenKind.ADMIN, os.environ)),
            timeout_s=timeout_s,
        )
        run.status()  # whoever could not see what becomes of it should not send it
        if end is not None:
            context.exit(_end_only(run, as_json=as_json))
        context.exit(_drill(run, expect=expect, keep_firing=keep_firing, as_json=as_json))
    except (NotAnswered, CannotStart) as exc:
        print_text(f"router: {exc}", err=True)
        context.exit(BAD_INPUT)


def _intake_token() -> str | None:
    tokens = secret(TokenKind.INTAKE, os.environ)
    return None if tokens is None else token_for(Source.ALERTMANAGER, tokens)


def _drill(run: "_Run", *, expect: str | None, keep_firing: bool, as_json: bool) -> int:
    print_text(f"drill {run.id}: waiting at most {run.timeout_s:g} s for its message", err=True)
    fired: _Sent | None = None
    try:
        fired = run.send(AlertStatus.FIRING)
        seen = run.follow(fired)
        why_not = _why_not(seen, run.status)
        ended = None if keep_firing else run.send(AlertStatus.RESOLVED)
    except (KeyboardInterrupt, NotAnswered) as exc:
        refused = fired is None and isinstance(exc, NotAnswered) and exc.status is not None
        if not refused:
            _end_in_any_case(run)
        raise
    # Where not even the message came within the time, its end is not waited for as long again.
    end = run.follow(ended, wait=seen.after_s is not None) if ended is not None else None
    if as_json:
        print_text(_dumped(run, _answer(seen, why_not, expect=expect) | {"end": _end_answer(end)}))
    else:
        print_text(_table([("drill", run.id), *_rows(seen, why_not), ("end", _end_words(run, end))]))
    owner = None if seen.verdict is None else seen.verdict["owner"]
    expected = expect in (None, owner)
    if not expected:
        print_text(f"expected {expect}, found {owner or 'nobody'}", err=True)
    return 0 if why_not is None and expected and (end is None or end.shows_the_end) else NO


def _end_in_any_case(run: "_Run") -> None:
    """A drill that nobody watches any more should not go on firing."""
    with suppress(NotAnswered):
        run.send(AlertStatus.RESOLVED)
        print_text(f"drill {run.id}: told to end", err=True)
        return
    print_text(f"drill {run.id} may still be firing. End it with: router drill --end {run.id}", err=True)


def _end_only(run: "_Run", *, as_json: bool) -> int:
    end = run.follow(run.send(AlertStatus.RESOLVED))
    if as_json:
        print_text(_dumped(run, {"end": _end_answer(end)}))
    else:
        print_text(_table([("drill", run.id), *_message_rows(end), ("end", _end_words(run, end))]))
    return 0 if end.shows_the_end else NO


# -- the run -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sent:
    """A notification that the router has taken; `at` is when the request began, on the monotonic clock."""

    id: str
    at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class _Seen:
    """What became of one notification, as far as it is known."""

    notification: Json
    incident: Json | None
    after_s: float | None = None  # None: it was still on its way when the time was up

    @property
    def verdict(self) -> Json | None:
        return next(iter(self.notification["alerts"]), None)

    @property
    def messages(self) -> list[Json]:
        return [] if self.incident is None else self.incident["messages"]

    @property
    def first(self) -> Json | None:
        """The owner's message, or the digest that stands for it."""
        return next((one for one in self.messages if one["kind"] in ("root", "digest")), None)

    @property
    def is_settled(self) -> bool:
        if self.notification["state"] == "waiting":
            return False
        if self.verdict is None or self.verdict["incident"] is None:
            return True
        # A copy is for information: it need not be waited for.
        return bool(self.messages) and not any(
            one["state"] == "pending" for one in self.messages if one["kind"] != "copy"
        )

    @property
    def shows_the_end(self) -> bool:
        ended = self.incident is not None and self.incident["state"] != "open"
        shown = any(one["state"] == "delivered" for one in self.messages if one["kind"] != "copy")
        return ended and shown and self.is_settled


@dataclass(frozen=True, slots=True, kw_only=True)
class _Run:
    """One drill. Its id is its alert's fingerprint, and names its alert group: so it never joins a real incident."""

    id: str
    labels: Mapping[str, str]
    sender: RunningRouter
    asker: RunningRouter
    timeout_s: float
    _never: threading.Event = field(default_factory=threading.Event)

    def status(self) -> Json:
        return self.asker.get("/api/v1/status")

    def send(self, status: AlertStatus) -> _Sent:
        """Tell the router, as an Alertmanager would."""
        began = time.monotonic()
        now = datetime.now(UTC).isoformat()
        alert = {
            "status": status,
            "labels": self.labels,
            "annotations": {DRILL_ANNOTATION: self.id},
            "startsAt": now,
            "endsAt": "0001-01-01T00:00:00Z" if status is AlertStatus.FIRING else now,
            "fingerprint": self.id,
        }
        group = {"version": "4", "receiver": DRILL_RECEIVER, "groupKey": f"drill {self.id}", "alerts": [alert]}
        return _Sent(id=self.sender.post("/webhooks/alertmanager", group)["id"], at=began)

    def follow(self, sent: _Sent, *, wait: bool = True) -> _Seen:
        """What became of it, as soon as nothing more is to come; after the timeout, what is known by then."""
        ends = sent.at + (self.timeout_s if wait else 0.0)
        pause_s = _FIRST_PAUSE_S
        while True:
            seen = self._look(sent.id)
            now = time.monotonic()
            if seen.is_settled:
                return replace(seen, after_s=now - sent.at)
            if now >= ends:
                return seen
            self._never.wait(min(pause_s, ends - now))
            pause_s = min(pause_s * 1.5, _LONGEST_PAUSE_S)

    def _look(self, notification: str) -> _Seen:
        told = self.asker.get(f"/api/v1/notifications/{notification}")
        seen = _Seen(notification=told, incident=None)
        if seen.verdict is None or seen.verdict["incident"] is None:
            return seen
        return _Seen(notification=told, incident=self._incident(seen.verdict["incident"]))

    def _incident(self, id: str) -> Json | None:
        cursor: str | None = None
        while True:
            answer = self.asker.get("/api/v1/incidents", {"state": "all", "limit": _PAGE, "cursor": cursor})
            for incident in answer["incidents"]:
                if incident["id"] == id:
                    return dict(incident)
            cursor = answer["next"]
            if cursor is None:
                return None


# -- showing -----------------------------------------------------------------------------------------------------------


def _why_not(seen: _Seen, status: Callable[[], Json]) -> str | None:
    """Why the channel where it belongs does not show it; None if it does."""
    verdict, first = seen.verdict, seen.first
    if seen.notification["state"] == "waiting":
        return "the router has not decided it yet"
    if verdict is None:
        return f"the router did not understand it: {seen.notification['error']}"
    if verdict["incident"] is None:
        return f"nobody is told: {verdict['reason']}"
    if first is None:
        return "no message of it is known"
    if first["state"] == "delivered":
        return None
    where = _channel(first)
    if first["state"] == "pending":
        slack = status()["slack"]["state"]
        word = slack if slack not in ("ok", "standby") else first["error"]
        return f"{where} does not show it yet{f'; Slack: {word}' if word else ''}"
    last = seen.messages[-1]  # what stands for the owner's message is made when that is refused
    told = last["kind"] in ("undelivered", "digest") and last["state"] == "delivered"
    instead = "the fallback channel has it instead" if told else "the fallback channel does not have it either"
    return f"{where} refuses it: {first['error']}; {instead}"


def _dumped(run: _Run, answer: Json) -> str:
    return json.dumps({"version": VERSION, "drill": run.id, **answer}, ensure_ascii=False, indent=2)


def _answer(seen: _Seen, why_not: str | None, *, expect: str | None) -> Json:
    verdict = seen.verdict or {}
    return {
        "notification": seen.notification["id"],
        "incident": verdict.get("incident"),
        "delivered": why_not is None,
        "why_not": why_not,
        "seconds": _rounded(seen.after_s),
        "owner": verdict.get("owner"),
        "expect": expect,
        "via": verdict.get("via"),
        "severity": verdict.get("severity"),
        "messages": seen.messages,
    }


def _end_answer(end: _Seen | None) -> Json | None:
    if end is None:
        return None
    return {
        "notification": end.notification["id"],
        "shown": end.shows_the_end,
        "seconds": _rounded(end.after_s),
        "messages": end.messages,
    }


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 3)


def _rows(seen: _Seen, why_not: str | None) -> list[tuple[str, str]]:
    rows = [("ref", seen.notification["id"])]
    verdict = seen.verdict
    if verdict is not None:
        rows += [("owner", _owner(verdict)), ("severity", verdict["severity"])]
    rows += _message_rows(seen)
    delivered = f"delivered after {seen.after_s:.2f} s" if seen.after_s is not None else "delivered"
    return [*rows, ("result", delivered if why_not is None else f"not delivered: {why_not}")]


def _owner(verdict: Json) -> str:
    via = verdict["via"]
    place = f"({via['file']}:{via['line']})"
    if verdict["owner"] is not None:
        return f"{verdict['owner']}, by {via['stage']} {via['entry']} {place}"
    if verdict["incident"] is None:
        return f"nobody: dropped by {via['stage']} {via['entry']} {place}"
    return f"nobody: it goes to the fallback channel {place}"


def _message_rows(seen: _Seen) -> list[tuple[str, str]]:
    return [("message", _message(one)) for one in seen.messages]


def _message(message: Json) -> str:
    ts = f", ts {message['ts']}" if message["ts"] is not None else ""
    error = f", {message['error']}" if message["error"] is not None else ""
    return f"{message['kind']} in {_channel(message)}: {message['state']}{error}{ts}"


def _channel(message: Json) -> str:
    """Without a name where the map does not name it any more."""
    name, channel_id = message["channel_name"], message["channel"]
    return str(channel_id) if name is None else f"#{name} ({channel_id})"


def _end_words(run: _Run, end: _Seen | None) -> str:
    if end is None:
        return f"it goes on firing, until: router drill --end {run.id}"
    if end.verdict is not None and end.verdict["incident"] is None:
        return "nothing to end: no message of it was wanted"
    if not end.shows_the_end:
        return "told to the router, and not shown yet"
    return "shown" if end.after_s is None else f"shown after {end.after_s:.2f} s"


def _table(rows: list[tuple[str, str]]) -> str:
    return "\n".join(f"{name:<9} {' '.join(value.split())}" for name, value in rows)
