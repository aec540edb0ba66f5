"""`router lint`: what is wrong with the map, and with the rule files that it should cover."""

import os
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from difflib import get_close_matches
from enum import StrEnum
from importlib.metadata import version
from pathlib import Path
from traceback import extract_tb
from typing import Final

import click

from router.core.errors import FAULTS, OwnershipFileInvalid
from router.core.findings import FindingSeverity
from router.lint import formats, linting
from router.lint.codes import CODES
from router.lint.explaining import page_of
from router.lint.github import MAX_SUMMARY_BYTES, annotated, annotation, changed_lines, step_summary
from router.lint.sarif import as_sarif
from router.options import ownership_option
from router.ownership_file import render_findings
from router.printing import print_text

NO: Final = 1
BAD_INPUT: Final = 2

_BY_URGENCY: Final = list(FindingSeverity)


class Format(StrEnum):
    FULL = "full"
    CONCISE = "concise"
    JSON = "json"
    GITHUB = "github"
    SARIF = "sarif"


class Review(StrEnum):
    ERROR = "error"
    WARN = "warn"


@click.command(
    short_help="Check the ownership map, and the alert rules that it should cover.",
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.argument("path", required=False)
@ownership_option(help="The ownership map, where PATH is not given.")
@click.option(
    "--rules",
    metavar="GLOB",
    multiple=True,
    help="Prometheus rule files that the map should cover; repeatable, ** crosses folders.",
)
@click.option(
    "--format",
    "form",
    type=click.Choice(Format, case_sensitive=False),
    default="full",
    show_default=True,
    help="How to show the findings.",
)
@click.option(
    "--fail-on",
    type=click.Choice(FindingSeverity, case_sensitive=False),
    default="error",
    show_default=True,
    help="The lowest severity that makes the exit code 1.",
)
@click.option(
    "--review",
    type=click.Choice(Review, case_sensitive=False),
    default="error",
    show_default=True,
    help="How severe a review is that is more than twice as old as it may be.",
)
@click.option("--explain", metavar="CODE", help="Show the page about one code, such as OWN202, and check nothing.")
@click.pass_context
def lint(
    context: click.Context,
    path: str | None,
    ownership: str,
    rules: tuple[str, ...],
    form: Format,
    fail_on: FindingSeverity,
    review: Review,
    explain: str | None,
) -> None:
    """Check the ownership map at PATH, and the files that it includes.

    \b
    router lint
    router lint --rules 'rules/**/*.yaml' --format github
    router lint --explain OWN202

    Exits 0 if no finding is as severe as --fail-on, 1 if one is, 2 if the map cannot be opened or a --rules glob finds
    no file.
    """
    if explain is not None:
        print_text(page_of(_code(explain)))
        return
    try:
        report = linting.lint(
            Path(path or ownership),
            today=datetime.now(UTC).date(),
            rules=rules,
            review_errors=review is Review.ERROR,
        )
    except OwnershipFileInvalid as exc:
        print_text(str(exc), err=True)
        if not Path(path or ownership).exists():
            print_text("`router init` writes a first map; PATH or --ownership names another file.", err=True)
        context.exit(BAD_INPUT)
    except FAULTS as exc:
        print_text(_defect(exc), err=True)
        context.exit(BAD_INPUT)
    for glob in report.unmatched:
        print_text(f"--rules {glob}: finds no file", err=True)
    _show(report, form, os.environ)
    failing = any(_BY_URGENCY.index(finding.severity) <= _BY_URGENCY.index(fail_on) for finding in report.findings)
    # A misspelt glob must not look like rules that are all owned.
    context.exit(BAD_INPUT if report.unmatched else NO if failing else 0)


def _code(text: str) -> str:
    code = text.upper()
    if code not in CODES:
        close = get_close_matches(code, CODES, n=1)
        raise click.UsageError(f"No check has the code {text!r}.{f' Did you mean {close[0]}?' if close else ''}")
    return code


def _defect(exc: BaseException) -> str:
    place = extract_tb(exc.__traceback__)[-1]
    return (
        f"router lint failed, which is a defect of it and not of the map: {type(exc).__name__}: {exc}"
        f" ({Path(place.filename).name}:{place.lineno}). Please report it."
    )


def _show(report: linting.Report, form: Format, environment: Mapping[str, str]) -> None:
    match form:
        case Format.JSON:
            print_text(formats.as_json(report))
            return
        case Format.SARIF:
            print_text(as_sarif(report.findings, version=version("alert-router")))
            return
        case Format.GITHUB:
            _show_on_github(report, environment)
        case Format.CONCISE:
            _print_if_any(formats.concise(report.findings))
        case Format.FULL:
            on_terminal = sys.stdout.isatty() and not environment.get("NO_COLOR")  # no-color.org
            text = render_findings(report.findings)
            _print_if_any(f"{text}\n" if text else "", colours=on_terminal)
    print_text(formats.summary(report), err=True)


def _print_if_any(text: str, *, colours: bool = False) -> None:
    if text:
        print_text(text, style=formats.coloured if colours else str)


def _show_on_github(report: linting.Report, environment: Mapping[str, str]) -> None:
    """Annotations; the rest in the step's summary, or where there is none, as lines."""
    base = environment.get("GITHUB_BASE_REF")  # of pull requests only
    shown = annotated(report.findings, changed_lines(f"origin/{base}") if base else {})
    for finding in shown:
        print_text(annotation(finding))
    summary_file = environment.get("GITHUB_STEP_SUMMARY")
    if summary_file is None or not _write_summary(report, Path(summary_file)):
        _print_if_any(formats.concise([finding for finding in report.findings if finding not in shown]))


def _write_summary(report: linting.Report, file: Path) -> bool:
    """Whether the whole report could be added to what the step has written before."""
    try:
        written = file.stat().st_size if file.exists() else 0
        with file.open("a", encoding="utf-8", errors="replace", newline="\n") as stream:
            stream.write(step_summary(report.findings, formats.summary(report), max_bytes=MAX_SUMMARY_BYTES - written))
    except OSError as exc:
        click.echo(f"{file}: the step's summary cannot be written: {exc.strerror}", err=True)
        return False
    return True
