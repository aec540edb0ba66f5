"""`router backup` and `router restore`: a copy of the running router's database, and a database made from one."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, TypeVar

import click

from router.core.errors import BackupUnusable, CannotStart, StoreUnavailable
from router.options import database_option
from router.printing import print_text
from router.store.backup import Contents, Marked, Progress, back_up, restore_in_place
from router.store.backup import restore as restore_from

BAD_INPUT: Final = 2
COULD_NOT: Final = 3
_HELP: Final = {"help_option_names": ["-h", "--help"]}

T = TypeVar("T")


@click.command(context_settings=_HELP, short_help="Copy the database of a running router.")
@click.argument("file", metavar="FILE", type=click.Path(path_type=Path))
@database_option(help="The database to copy.")
@click.option("--force", is_flag=True, help="Replace FILE if it is there.")
def backup(file: Path, database: str, force: bool) -> None:
    """Copy the database to FILE, also while the router runs.

    \b
    router backup /var/backups/router-2026-11-22.db

    The copy is one instant, checked, and on the disk when the command ends. FILE is there whole or not at all. It
    holds what senders sent: keep it as you keep the database.

    Exits 0, 2 if FILE or the database cannot be used, and 3 if the copy could not be made.
    """
    with _told():
        contents = _with_progress(lambda progress: back_up(database, file, force=force, progress=progress))
    print_text(f"{file}: {contents.size / 1_000_000:.1f} MB, checked\n{_listed(contents)}")


@click.command(context_settings=_HELP, short_help="Make a backup the database of a stopped router.")
@click.argument("file", metavar="[FILE]", required=False, type=click.Path(path_type=Path))
@database_option(help="The database to replace.")
@click.option("--in-place", is_flag=True, help="Without FILE: mark a database that other tools have brought back.")
def restore(file: Path | None, database: str, in_place: bool) -> None:
    """Make the backup FILE the database. The router has to be stopped.

    \b
    router restore /var/backups/router-2026-11-22.db
    router restore --in-place --database postgresql://router_app@db.example.com/router

    The present database is kept beside the new one. Nothing old is posted again by itself: what waited to be posted
    when the backup was made becomes a dead letter, and the fallback channel is told.

    Exits 0, 2 if FILE cannot be used, and 3 if the database is in use or could not be replaced.
    """
    if (file is None) is not in_place:
        raise click.UsageError("name either FILE or --in-place")
    now = datetime.now(UTC)
    with _told():
        if file is None:
            print_text(f"marked as restored\n{_undone(restore_in_place(database, now=now))}")
            return
        found = _with_progress(lambda progress: restore_from(file, database, now=now, progress=progress))
    kept = [] if found.before is None else [f"the database of before: {found.before}"]
    print_text("\n".join([f"restored from {file}", _listed(found.contents), *kept, _undone(found.marked)]))


def _listed(contents: Contents) -> str:
    return (
        f"notifications: {contents.notifications}, of which {contents.waiting} wait\n"
        f"incidents: {contents.incidents}, of which {contents.open} are open\n"
        f"messages: {contents.messages}, of which {contents.pending} are pending\n"
        f"schema version: {contents.version}"
    )


def _undone(marked: Marked) -> str:
    lines = [
        f"notifications that are decided when the router starts: {marked.waiting}",
        f"messages in Slack that are edited then: {marked.edits}",
        f"messages that waited to be posted, dead letters now: {marked.dead}",
    ]
    if marked.dead:
        lines.append("Start the router, and look at them: router dead list")
    return "\n".join(lines)


def _with_progress(work: Callable[[Progress], T]) -> T:
    """On a terminal it is seen how far it is."""
    if not sys.stderr.isatty():
        return work(lambda _left, _pages: None)

    def show(left: int, pages: int) -> None:
        click.echo(f"\r{100 * (pages - left) // max(pages, 1):3d} %", nl=False, err=True)

    try:
        return work(show)
    finally:
        click.echo("\r     \r", nl=False, err=True)


@contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except BackupUnusable as exc:
        print_text(f"router: {exc}", err=True)
        sys.exit(BAD_INPUT)
    except (CannotStart, StoreUnavailable) as exc:
        print_text(f"router: {exc}", err=True)
        sys.exit(COULD_NOT)
