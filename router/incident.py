"""`router incident`: what people do about incidents, from a terminal. Asks the running router."""

import getpass
import os
from collections.abc import Mapping
from typing import Final

import click

from router.asking import Json, RunningRouter, failures_told, running_router
from router.core.errors import NotAnswered
from router.core.escalation_policy import LEAD
from router.core.history import EscalationReason, Event
from router.options import router_option
from router.printing import fact_lines, json_text, one_line, print_text, second_of

PATH: Final = "/api/v1/incidents"
_HELP: Final = {"help_option_names": ["-h", "--help"]}
# There is no such incident, or it cannot be done about this one.
_SAYS_NO: Final = (404, 409)
_STORED: Final = 202
STORED: Final = "it is stored, and no router decides just now: it is done as soon as one does"

_id = click.argument("id", metavar="ID")
_by = click.option(
    "--by", metavar="NAME", help="Who does it, as it is shown in Slack; the name of this machine's user unless given."
)
_json = click.option("--json", "as_json", is_flag=True, help="Answer for programs; stable, versioned.")


@click.group(short_help="Incidents: acknowledge them, snooze them, give them away.", context_settings=_HELP)
def incident() -> None:
    """Acknowledge an incident, snooze it, or say that it is another team's; what the buttons in Slack do.

    ID is the reference at the end of its message, or the incident's own, as in `GET /api/v1/incidents`.

    The commands ask a running router. One on another machine wants its admin token, in ROUTER_ADMIN_TOKEN or in the
    file that ROUTER_ADMIN_TOKEN_FILE names.
    """


@incident.command(short_help="I take care of it.", context_settings=_HELP)
@_id
@_by
@_json
@router_option()
@click.pass_context
def ack(context: click.Context, id: str, by: str | None, as_json: bool, url: str) -> None:
    """Acknowledge an incident: its message says who takes care of it, and it is escalated no further.

    \b
    router incident ack 0sa3rpvyr3bg3-1 --by alice

    Exits 0, or 1 if that is refused, as for one that has resolved, and 2 if the router does not answer.
    """
    _do(context, url, id, "ack", {"by": by}, as_json=as_json)


@incident.command(short_help="It is another team's.", context_settings=_HELP)
@_id
@click.option("--team", metavar="TEAM", required=True, help="Whose it is: a team's id in the map, or an alias.")
@_by
@_json
@router_option()
@click.pass_context
def disown(context: click.Context, id: str, team: str, by: str | None, as_json: bool, url: str) -> None:
    """Give an incident to another team, or one that nobody owns to its team.

    \b
    router incident disown 0sa3rpvyr3bg3-1 --team ledger

    What fires is told to that team at once, as an incident of its own. It stays there until the map says something
    else; what to change in the map is printed.

    Exits 0, or 1 if that is refused, as for a team that the map does not have, and 2 if the router does not answer.
    """
    _do(context, url, id, "disown", {"by": by, "team": team}, as_json=as_json)


@incident.command(short_help="Not now.", context_settings=_HELP)
@_id
@click.option(
    "--for", "lasts", metavar="TIME", default="2h", show_default=True, help="How long: 5m at least, 7d at most."
)
@_by
@_json
@router_option()
@click.pass_context
def snooze(context: click.Context, id: str, lasts: str, by: str | None, as_json: bool, url: str) -> None:
    """Let an incident rest: it is not escalated for a while, and who owns it is called when that is over.

    \b
    router incident snooze 0sa3rpvyr3bg3-1 --for 4h

    Exits 0, or 1 if that is refused, as for 2m, or for one that has resolved, and 2 if TIME cannot be read, or the
    router does not answer.
    """
    _do(context, url, id, "snooze", {"by": by, "for": lasts}, as_json=as_json)


@incident.command(short_help="End a snooze.", context_settings=_HELP)
@_id
@_by
@_json
@router_option()
@click.pass_context
def wake(context: click.Context, id: str, by: str | None, as_json: bool, url: str) -> None:
    """End a snooze before its time; who owns the incident is called.

    \b
    router incident wake 0sa3rpvyr3bg3-1

    Exits 0, or 1 if that is refused, as for one that is not snoozed, and 2 if the router does not answer.
    """
    _do(context, url, id, "wake", {"by": by}, as_json=as_json)


@incident.command(short_help="All about one incident.", context_settings=_HELP)
@_id
@_json
@router_option()
@click.pass_context
def show(context: click.Context, id: str, as_json: bool, url: str) -> None:
    """Show whose an incident is, what happened to it, and who was told.

    \b
    router incident show 0sa3rpvyr3bg3-1

    Exits 0, or 1 if there is no such incident, and 2 if the router does not answer.
    """
    with failures_told(context, says_no=_SAYS_NO):
        found = running_router(url, os.environ).get(f"{PATH}/{_one_id(id)}")
    print_text(json_text(found) if as_json else "\n".join(_page(found)))


# -- asking ------------------------------------------------------------------------------------------------------------


def _do(
    context: click.Context, url: str, id: str, what: str, question: Mapping[str, str | None], *, as_json: bool
) -> None:
    asked = {**question, "by": question.get("by") or _user()}
    with failures_told(context, says_no=_SAYS_NO):
        answer = _answer(running_router(url, os.environ), f"{PATH}/{_one_id(id)}/{what}", asked)
    if as_json:
        print_text(json_text(answer))
        return
    print_text(answer["detail"])
    if answer["correction"] is not None:
        print_text("\nSo that the next one goes there by itself, change the map:", err=True)
        print_text(answer["correction"])


def _answer(router: RunningRouter, path: str, question: Json) -> Json:
    try:
        return router.post(path, question)
    except NotAnswered as exc:
        if exc.status == _STORED:
            raise NotAnswered(STORED, status=_STORED) from exc
        raise


def _one_id(id: str) -> str:
    if not id.isascii() or not id.replace("-", "").replace(".", "").isalnum():
        raise click.UsageError(f"{id!r} is not an incident's id. They look like 0sa3rpvyr3bg3-1.")
    return id


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError) as exc:  # as in a container whose user has no name
        raise click.UsageError("This user has no name here. Say who does it, with --by.") from exc


# -- showing -----------------------------------------------------------------------------------------------------------


def _page(found: Json) -> list[str]:
    facts: dict[str, object] = {
        "id": found["id"],
        "title": found["title"],
        "state": _state(found),
        "owner": _owner(found),
        "severity": found["severity"],
        "opened": _time(found["opened_at"]),
        "closed": None if found["closed_at"] is None else _time(found["closed_at"]),
        "alerts": f"{found['alerts']['firing']} firing, {found['alerts']['resolved']} resolved",
        "taken by": found["acknowledged_by"],
        "snoozed": None if found["snoozed_until"] is None else f"until {_time(found['snoozed_until'])}",
        "came from": "; ".join(_move(move) for move in found["moved_from"]),
        "moved to": "; ".join(_move(move) for move in found["moved_to"]),
    }
    lines = fact_lines(facts)
    if found["history"]:
        lines += ["", *(f"{_time(one['at'])}  {one_line(_happening(one, found))}" for one in found["history"])]
    if found["correction"] is not None:
        lines += ["", "What to change in the map:", found["correction"]]
    return lines


def _time(rfc3339: str) -> str:
    return f"{second_of(rfc3339)} UTC"


def _state(found: Json) -> str:
    if found["handed_over"]:
        return "moved"
    return f"{found['state']}, suspect: {found['suspect']} was lost then" if found["suspect"] else str(found["state"])


def _owner(found: Json) -> str:
    owner = found["owner"] or "nobody"
    if found["assigned"] is None:
        return str(owner)
    return (
        f"{owner}, by the word of {found['assigned']['by']}; by the map {found['assigned']['instead_of'] or 'nobody'}"
    )


def _move(move: Json) -> str:
    return f"{move['owner'] or 'nobody'} in {_channel(move)}, incident {move['incident']}"


def _channel(place: Json) -> str:
    """By its id where the map does not have it any more."""
    name = place.get("channel_name")
    return str(place["channel"]) if name is None else f"#{name}"


def _happening(happening: Json, found: Json) -> str:
    """In words; by its bare name where a newer router knows more of them."""
    count, by = happening.get("count", 0), happening.get("by")
    match happening["event"]:
        case Event.JOINED:
            more = "1 more alert" if count == 1 else f"{count} more alerts"
            names = happening.get("names", [])
            return f"{more}: {', '.join(names)}{', …' if count > len(names) else ''}"
        case Event.REPEATED:
            return f"still firing: notice {count}"
        case Event.WORSE:
            return f"worse: now {happening['severity']}"
        case Event.FLAPPING:
            return f"fires again and again, {count} times until then; from there on it is only counted"
        case Event.ESCALATED:
            return _escalated(happening, found)
        case Event.ACKNOWLEDGED:
            return f"acknowledged by {by}"
        case Event.SNOOZED:
            return f"snoozed by {by} until {_time(happening['until'])}"
        case Event.SNOOZE_OVER:
            return "the snooze was over" if by is None else f"{by} ended the snooze"
        case Event.DISOWNED:
            return f"{by} gave it to {happening.get('team_name') or happening['team']}"
        case Event.STALE:
            return "stale: it was not told again when it should have been"
        case Event.HEARD_AGAIN:
            return "heard of again"
        case Event.RESOLVED:
            return "resolved"
        case Event.SUPERSEDED_RUN:
            return f"over: a newer run of the job succeeded at {_time(happening['until'])}"
        case Event.SUSPECT:
            lost = ", ".join(happening["names"])
            return f"may not be over: it ended shortly before or while the heartbeat {lost} was lost"
        case newer:
            return str(newer).replace("_", " ")


_WHYS: Final[Mapping[str, str]] = {
    EscalationReason.UNACKNOWLEDGED: "nobody had acknowledged it",
    EscalationReason.REPEATED: "it came again and again",
    EscalationReason.ORPHANED: "it was still nobody's",
}


def _escalated(happening: Json, found: Json) -> str:
    why = _WHYS.get(happening["reason"], happening["reason"])
    return f"escalated to {_called(happening, found)}: {why}"


def _called(happening: Json, found: Json) -> str:
    """Who was told by a step. No channel has two steps of one incident."""
    if happening.get("team") is None:
        return f"the fallback {_channel(happening)}"
    team = happening.get("team_name") or happening["team"]
    if any(one["to"] == LEAD and one["channel"] == happening["channel"] for one in found["escalations"]):
        return f"the lead of {team}"
    return f"{team} in {_channel(happening)}"
