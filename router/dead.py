"""`router dead`: look at dead letters, replay them, drop them. Asks the running router."""

import os
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, TypeVar

import click

from router.asking import NO, Json, RunningRouter, failures_told, running_router
from router.options import router_option
from router.printing import fact_lines, json_text, one_line, print_text, second_of

VERSION: Final = 1

PATH: Final = "/api/v1/dead-letters"
PAGE: Final = 1000  # of a list; also the most ids that the router takes at once
_HELP: Final = {"help_option_names": ["-h", "--help"]}
_KINDS: Final = ("notification", "delivery")

F = TypeVar("F", bound=Callable[..., Any])  # Any: a command's function takes and returns what it likes

_json = click.option("--json", "as_json", is_flag=True, help="Answer for programs; stable, versioned.")
_kind = click.option("--kind", type=click.Choice(_KINDS), help="Only these.")
_reason = click.option("--reason", metavar="WORD", help="Only those of this reason, as the list shows it.")
_before = click.option("--before", metavar="TIME", help="Only those from before this time, as 2026-11-22T10:00:00Z.")
_all = click.option("--all", "all_of_them", is_flag=True, help="All of them, or all that the options below leave.")
_dry_run = click.option("--dry-run", is_flag=True, help="Say what would become of each, and change nothing.")


@click.group(short_help="Dead letters: look at them, replay them, drop them.", context_settings=_HELP)
def dead() -> None:
    """What could not be read, or was given up: look at it, replay it, drop it.

    A dead letter is a notification that could not be read, or a message that Slack refused for good. It is kept until
    somebody replays or drops it.

    The commands ask a running router. One on another machine wants its admin token, in ROUTER_ADMIN_TOKEN or in the
    file that ROUTER_ADMIN_TOKEN_FILE names.
    """


@dead.command("list", short_help="The dead letters, newest first.", context_settings=_HELP)
@_kind
@_reason
@click.option(
    "--limit", metavar="N", type=click.IntRange(1), default=50, show_default=True, help="Show at most so many."
)
@_json
@router_option()
@click.pass_context
def list_letters(
    context: click.Context, kind: str | None, reason: str | None, limit: int, as_json: bool, url: str
) -> None:
    """Show the dead letters, newest first.

    \b
    router dead list
    router dead list --reason channel_not_found --json

    Exits 0, also if there are none, and 2 if the router does not answer.
    """
    with failures_told(context):
        letters, more = _listed(running_router(url, os.environ), {"kind": kind, "reason": reason}, limit)
    if as_json:
        print_text(json_text({"version": VERSION, "dead_letters": letters, "more": more}))
        return
    if letters:
        print_text("\n".join(_table(letters)))
    count = _number(len(letters), "dead letter")
    print_text(f"{count}, and more: --limit shows them" if more else count if letters else "no dead letters", err=True)


@dead.command(short_help="All about one dead letter.", context_settings=_HELP)
@click.argument("id", metavar="ID")
@_json
@router_option()
@click.pass_context
def show(context: click.Context, id: str, as_json: bool, url: str) -> None:
    """Show all about one dead letter, also about one that was handled.

    Of a notification that is the beginning of its body too, without what looks like a secret.

    \b
    router dead show 0sa3rpvzmy433

    Exits 0, or 1 if there is no such dead letter, and 2 if the router does not answer.
    """
    with failures_told(context):
        letter = running_router(url, os.environ).get(f"{PATH}/{_one_id(id)}")
    print_text(json_text(letter) if as_json else "\n".join(_page(letter)))


@dead.command(short_help="Take dead letters back to where they failed.", context_settings=_HELP)
@click.argument("ids", metavar="[ID]...", nargs=-1)
@_all
@_kind
@_reason
@_before
@click.option("--outdated", is_flag=True, help="Also notifications whose alert group was told again since.")
@_dry_run
@_json
@router_option()
@click.pass_context
def replay(
    context: click.Context,
    ids: tuple[str, ...],
    all_of_them: bool,
    kind: str | None,
    reason: str | None,
    before: str | None,
    outdated: bool,
    dry_run: bool,
    as_json: bool,
    url: str,
) -> None:
    """Take dead letters back to where they failed: today's router decides them under today's map.

    \b
    router dead replay m812
    router dead replay --all --reason channel_not_found --dry-run

    A notification is read and decided again; a message is sent again and shows the newest state of its incident. What
    was replayed is a dead letter no more, and becomes one again if it fails again. A message of an incident that the
    map gave to somebody else since is not sent: it leaves the list. A notification whose alert group was told again
    since stays, because it could show an older state; --outdated replays it all the same.

    Exits 0, or 1 if nothing of what was named could be replayed, and 2 if the router does not answer.
    """
    question = _question(ids, all_of_them, kind=kind, reason=reason, before=before, dry_run=dry_run)
    if outdated:
        question["outdated"] = True
    with failures_told(context):
        answer = _worked_through(running_router(url, os.environ), "replay", question, quiet=as_json)
    _show_handled(answer, as_json=as_json)
    context.exit(_code(answer, done=("replayed", "superseded"), named=bool(ids)))


@dead.command(short_help="Take dead letters off the list.", context_settings=_HELP)
@click.argument("ids", metavar="[ID]...", nargs=-1)
@_all
@_kind
@_reason
@_before
@click.option("--yes", is_flag=True, help="Do not ask first.")
@_dry_run
@_json
@router_option()
@click.pass_context
def drop(
    context: click.Context,
    ids: tuple[str, ...],
    all_of_them: bool,
    kind: str | None,
    reason: str | None,
    before: str | None,
    yes: bool,
    dry_run: bool,
    as_json: bool,
    url: str,
) -> None:
    """Take dead letters off the list for good: they cannot be replayed any more.

    \b
    router dead drop 0sa3rpvzmy433
    router dead drop --all --kind notification --before 2026-11-01T00:00:00Z --yes

    They stay in the sums.

    Exits 0, or 1 if nothing of what was named was a dead letter or the question was answered with no, and 2 if the
    router does not answer.
    """
    question = _question(ids, all_of_them, kind=kind, reason=reason, before=before, dry_run=dry_run)
    with failures_told(context):
        router = running_router(url, os.environ)
        if not yes and not dry_run:
            would = _worked_through(router, "drop", {**question, "dry_run": True}, quiet=True)["counts"].get(
                "dropped", 0
            )
            if would and not click.confirm(f"Drop {_number(would, 'dead letter')} for good?", err=True):
                context.exit(NO)
        answer = _worked_through(router, "drop", question, quiet=as_json)
    _show_handled(answer, as_json=as_json)
    context.exit(_code(answer, done=("dropped",), named=bool(ids)))


# -- asking ------------------------------------------------------------------------------------------------------------


def _one_id(id: str) -> str:
    if not id.isascii() or not id.isalnum():
        raise click.UsageError(f"{id!r} is not an id. They look like 0sa3rpvzmy433, or m812.")
    return id


def _question(
    ids: Sequence[str], all_of_them: bool, *, kind: str | None, reason: str | None, before: str | None, dry_run: bool
) -> Json:
    if bool(ids) == all_of_them:
        raise click.UsageError("Name the dead letters by their ids, or give --all.")
    narrowing = {"kind": kind, "reason": reason, "before": before}
    given = {name: value for name, value in narrowing.items() if value is not None}
    if ids and given:
        raise click.UsageError(f"--{next(iter(given))} goes with --all, not with ids.")
    chosen: Json = {"all": True, **given} if all_of_them else {"ids": [_one_id(one) for one in ids]}
    return {**chosen, "dry_run": dry_run}


def _listed(router: RunningRouter, narrowing: Mapping[str, str | None], limit: int) -> tuple[list[Json], bool]:
    """At most `limit` dead letters, and whether there are more."""
    letters: list[Json] = []
    cursor: str | None = None
    while len(letters) < limit:
        answer = router.get(PATH, {**narrowing, "limit": min(PAGE, limit - len(letters)), "cursor": cursor})
        letters += answer["dead_letters"]
        cursor = answer["next"]
        if cursor is None:
            break
    return letters, cursor is not None


def _worked_through(router: RunningRouter, action: str, question: Json, *, quiet: bool) -> Json:
    """The answers to as many requests as it takes, as one."""
    counts: Counter[str] = Counter()
    letters: list[Json] = []
    replay: str | None = None
    for part in _parts(question):
        cursor: str | None = None
        while True:
            answer = router.post(f"{PATH}/{action}", part if cursor is None else {**part, "cursor": cursor})
            counts.update(answer["counts"])
            letters += answer["dead_letters"]
            replay = replay or answer.get("replay")
            cursor = answer["next"]
            if cursor is None:
                break
            if not quiet:
                print_text(f"{_number(len(letters), 'dead letter')} so far …", err=True)
    whole = {"version": VERSION, "dry_run": question["dry_run"], "counts": dict(counts), "dead_letters": letters}
    return {**whole, "replay": replay} if action == "replay" else whole


def _parts(question: Json) -> list[Json]:
    """The question in so many that the router takes each."""
    ids = question.get("ids")
    if ids is None:
        return [question]
    return [{**question, "ids": ids[at : at + PAGE]} for at in range(0, len(ids), PAGE)]


def _code(answer: Json, *, done: Iterable[str], named: bool) -> int:
    """Where nothing was named, that there was nothing is fine."""
    some = any(answer["counts"].get(outcome) for outcome in done)
    return 0 if some or (not named and not answer["dead_letters"]) else NO


# -- showing -----------------------------------------------------------------------------------------------------------


def _number(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


def _place(letter: Json) -> str:
    if letter["kind"] == "notification":
        return f"from {letter['source']}"
    if letter["channel"] is None:
        return "the fallback channel"
    return f"#{letter['channel_name']}" if letter["channel_name"] else str(letter["channel"])


def _about(letter: Json) -> str:
    return str(letter["error"] if letter["kind"] == "notification" else letter["summary"])


def _table(letters: Sequence[Json]) -> list[str]:
    rows = [("ID", "SINCE (UTC)", "REASON", "WHERE", "WHAT")]
    rows += [
        (letter["id"], second_of(letter["at"]), letter["reason"], _place(letter), one_line(_about(letter)))
        for letter in letters
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    return ["  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[4]]) for row in rows]


def _page(letter: Json) -> list[str]:
    facts: dict[str, object] = {
        "id": letter["id"],
        "state": _state(letter),
        "since": f"{second_of(letter['at'])} UTC",
        "reason": letter["reason"],
    }
    if letter["kind"] == "notification":
        facts |= {"error": letter["error"], "source": letter["source"]}
        facts["size"] = "not kept any more" if letter["size"] is None else f"{letter['size']} bytes"
    else:
        facts |= {"failure": letter["failure"], "channel": _channel(letter), "message": letter["message"]}
        facts |= {"attempts": letter["attempts"], "incident": _incident(letter)}
        facts["moved to"] = "; ".join(
            f"{move['incident']}, owner {move['owner'] or 'nobody'}, {move['channel']}" for move in letter["moved_to"]
        )
    facts["replay"] = letter["replay"]
    lines = fact_lines(facts)
    if letter.get("body_withheld"):
        lines.append(f"{'body':<9} not shown: {letter['body_withheld']}")
    if letter.get("body") is not None:
        lines += ["", letter["body"] + ("\n… (cut)" if letter["body_cut"] else "")]
    return lines


def _state(letter: Json) -> str:
    if letter["handled_at"] is not None:
        return f"{letter['state']}, off the list since {second_of(letter['handled_at'])} UTC"
    return str(letter["state"])


def _channel(letter: Json) -> str:
    name = _place(letter)
    return f"{name} ({letter['channel']})" if name.startswith("#") else name


def _incident(letter: Json) -> str | None:
    if letter["incident"] is None:
        return None
    if letter["title"] is None:
        return f"{letter['incident']}, not kept any more"
    return f"{letter['incident']}, {letter['title']}, {letter['incident_state']}, owner {letter['owner'] or 'nobody'}"


def _show_handled(answer: Json, *, as_json: bool) -> None:
    if as_json:
        print_text(json_text(answer))
        return
    letters = answer["dead_letters"]
    width = max((len(letter["id"]) for letter in letters), default=0)
    outcomes = {letter["outcome"]: len(letter["outcome"]) for letter in letters}
    column = max(outcomes.values(), default=0)
    for letter in letters:
        outcome = letter["outcome"].replace("_", " ")
        print_text(f"{letter['id']:<{width}}  {outcome:<{column}}  {one_line(letter['detail'])}")
    counted = ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in answer["counts"].items() if count)
    summary = counted or "no dead letters"
    if answer["dry_run"]:
        summary = f"dry run, nothing was changed; it would be: {summary}"
    elif answer.get("replay") and letters:
        summary = f"{summary}; replay {answer['replay']}"
    print_text(summary, err=True)
