"""The command line. Exit codes: 0 fine, 1 the answer is no, 2 wrong usage or unreadable input, 3 could not start."""

import os
import sys
from importlib import import_module
from typing import Final

import click

from router.core.errors import CannotStart, OwnershipFileInvalid
from router.options import database_option, ownership_option

COULD_NOT_START = 3

# Each is imported when it is asked for: `router who` answers in a fraction of the time that a server takes to import.
_ELSEWHERE: Final = {
    "backup": "router.backup:backup",
    "dead": "router.dead:dead",
    "drill": "router.drill:drill",
    "import": "router.mapmaking.commands:import_map",
    "incident": "router.incident:incident",
    "init": "router.mapmaking.commands:init",
    "lint": "router.lint.command:lint",
    "report": "router.report:report",
    "restore": "router.backup:restore",
    "schema": "router.schema:schema",
    "who": "router.who:who",
}


class LazyGroup(click.Group):
    """A group whose commands are imported by name (click's documentation: Complex Applications, lazy loading)."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted([*super().list_commands(ctx), *_ELSEWHERE])

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _ELSEWHERE:
            return super().get_command(ctx, cmd_name)
        module, _, name = _ELSEWHERE[cmd_name].partition(":")
        command: click.Command = getattr(import_module(module), name)
        return command


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="alert-router", prog_name="router")
def main() -> None:
    """Alerts and missed check-ins reach the team that owns them, by a map that is kept in git."""


@main.command()
@ownership_option()
@database_option(help="Where notifications are kept before they are answered.")
@click.option(
    "--listen",
    metavar="HOST:PORT",
    envvar="ROUTER_LISTEN",
    default="127.0.0.1:9095",
    show_default=True,
    show_envvar=True,
    help="Where to answer requests.",
)
def serve(ownership: str, database: str, listen: str) -> None:
    """Receive alerts, find who owns them, and tell the owners in Slack, until SIGTERM.

    \b
    Secrets are variables only, or files that these name with _FILE appended:
      ROUTER_SLACK_TOKEN    the bot's token; unset: preview mode, a page instead of Slack
      ROUTER_SLACK_SIGNING_SECRET
                            signs what is pressed in Slack; unset: messages have no buttons
      ROUTER_INTAKE_TOKENS  source:token, separated by commas or lines; unset: only this
                            machine may send
      ROUTER_ADMIN_TOKEN    opens /api, /metrics, /-/reload and /preview to other machines that
                            give it; unset: these answer this machine only
    \b
    Also:
      ROUTER_SLACK_API_URL  Slack's own unless set; ends in /api/
      ROUTER_LOG_FORMAT     json or console; console on a terminal
      ROUTER_LOG_LEVEL      debug, info, warning or error; info
    """
    from router.config import settings
    from router.telemetry import configure_logs

    try:
        found = settings(
            ownership=ownership,
            database=database,
            listen=listen,
            environment=os.environ,
            on_terminal=sys.stderr.isatty(),
        )
        configure_logs(form=found.log_format, level=found.log_level)
        from router.serve import run

        run(found)
    except CannotStart as exc:
        click.echo(f"router: {exc}", err=True)
        sys.exit(COULD_NOT_START)
    except OwnershipFileInvalid as exc:
        from router.ownership_file import render_findings

        click.echo(f"router: the ownership map cannot be used.\n\n{render_findings(exc.findings)}", err=True)
        sys.exit(COULD_NOT_START)
