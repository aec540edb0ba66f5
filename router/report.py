"""`router report`: how loud it was, for whom, and what to do about it. Asks the running router."""

import os
from enum import StrEnum
from typing import Final

import click

from router.asking import Json, failures_told, running_router
from router.core.errors import NotAnswered
from router.core.report import Report, moment_of
from router.core.report_forms import as_markdown, as_text, of_json
from router.options import router_option
from router.printing import json_text, print_text

PATH: Final = "/api/v1/report"
# A month of a hundred thousand incidents takes a few seconds to count, and nothing of the answer comes before.
TIMEOUT_S: Final = 60.0


class Form(StrEnum):
    TEXT = "text"
    MARKDOWN = "markdown"
    JSON = "json"


def _moment(_context: click.Context, _parameter: click.Parameter, text: str | None) -> str | None:
    """As the router reads it; checked before it is asked."""
    if text is not None:
        try:
            moment_of(text)
        except ValueError as exc:
            raise click.BadParameter(f"{exc}.") from exc
    return text


@click.command(
    short_help="How loud it was, for whom, and what to do about it.",
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.option(
    "--since", metavar="TIME", default="7d", show_default=True, callback=_moment, help="From when on, or how long ago."
)
@click.option("--until", metavar="TIME", callback=_moment, help="Until when; now unless given.")
@click.option("--team", metavar="TEAM", help="Only this team's, by its id; nobody: only what nobody owns.")
@click.option(
    "--format",
    "form",
    type=click.Choice([one.value for one in Form]),
    default=Form.TEXT.value,
    show_default=True,
    help="For whom it is.",
)
@router_option()
@click.pass_context
def report(context: click.Context, since: str, until: str | None, team: str | None, form: str, url: str) -> None:
    """Count the incidents of the last days: per team, and the alerts that are told most often.

    \b
    router report
    router report --since 2026-11-16 --until 2026-11-23 --format markdown

    TIME is a duration (7d, 12h), a day (2026-11-16, in the time zone of the map), or a time with its zone
    (2026-11-16T09:00:00+09:00).

    It asks a running router. One on another machine wants its admin token, in ROUTER_ADMIN_TOKEN or in the file that
    ROUTER_ADMIN_TOKEN_FILE names.

    Exits 0, also if there were none; 1 if there is no such team, and 2 if the router does not answer.
    """
    with failures_told(context):
        answer = running_router(url, os.environ, timeout_s=TIMEOUT_S).get(
            PATH, {"since": since, "until": until, "team": team}
        )
        found = _understood(answer)
    print_text(_shown(found, answer, Form(form)))


def _understood(answer: Json) -> Report:
    try:
        return of_json(answer)
    except ValueError as exc:
        raise NotAnswered(f"the router answered {exc}. Is it another version?") from exc


def _shown(found: Report, answer: Json, form: Form) -> str:
    if form is Form.JSON:
        return json_text(answer)
    return as_markdown(found) if form is Form.MARKDOWN else as_text(found)
