"""`router init` and `router import`: a first map, from nothing, from rule files or from Alertmanager's routing tree."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import click

from router.mapmaking.alertmanager_config import ConfigInvalid, read_config
from router.mapmaking.conversion import converted
from router.mapmaking.proposal import SCHEMA_FILE, Proposal, loaded, map_text
from router.mapmaking.starter import starter
from router.mapmaking.survey import proposed, surveyed
from router.mapmaking.verification import Verification, verified
from router.ownership_file.json_schema import schema_text
from router.ownership_file.loading import displayed
from router.printing import print_text
from router.rule_files import RuleFiles, read_rule_files

NO: Final = 1
BAD_INPUT: Final = 2
_SHOWN: Final = 5  # of a list that may be long

_output = click.option(
    "--output",
    metavar="PATH",
    type=click.Path(path_type=Path),
    default="ownership.yaml",
    show_default=True,
    help="Where to write the map. A file that is there is never overwritten.",
)


@click.command(
    short_help="Propose a first map, from rule files or from nothing.",
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.option(
    "--rules",
    metavar="GLOB",
    multiple=True,
    help="Prometheus rule files, also PrometheusRule objects; ** crosses folders. Repeatable.",
)
@_output
@click.option("--org", metavar="NAME", help="The name of your organisation, for `org` in the map.")
@click.pass_context
def init(context: click.Context, rules: tuple[str, ...], output: Path, org: str | None) -> None:
    """Propose a first map: from the labels in rule files or, without --rules, a small one to fill in.

    \b
    router init --rules 'rules/**/*.yaml' --org example-corp

    Beside the map it writes the schema for editors, ownership.schema.json.

    Exits 0 if it wrote a map, 2 if a file is there already or no alert rule was found.
    """
    _must_be_free(output)
    if not rules:
        _write(starter(org=org), output)
        _tell_next(starter(org=org), output)
        context.exit(0)
    files = read_rule_files(rules)
    _tell_unread(files)
    if not files.alerts:
        print_text(f"no alert rule in {_number(files.files, 'file')}: nothing was written", err=True)
        context.exit(BAD_INPUT)
    survey = surveyed(files.alerts)
    print_text(f"{_number(len(files.alerts), 'alert rule')} in {_number(files.files, 'file')}:")
    for line in survey.told():
        print_text(f"- {line}")
    print_text("")
    proposal = proposed(survey, org=org)
    _write(proposal, output)
    _tell_next(proposal, output, rules=rules)


@click.group("import", context_settings={"help_option_names": ["-h", "--help"]})
def import_map() -> None:
    """Make a map of the configuration that routes alerts today."""


@import_map.command(
    short_help="From the routing tree of an Alertmanager.",
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.argument("file", type=click.Path(path_type=Path))
@_output
@click.pass_context
def alertmanager(context: click.Context, file: Path, output: Path) -> None:
    """Turn the routing tree of an Alertmanager configuration FILE into a map.

    \b
    router import alertmanager /etc/alertmanager/alertmanager.yml

    Receivers become teams, routes become rules. What a map does not say is listed on stderr with file and line, and in
    the map. Then the tree and the map are asked about label sets that walk every route, and the answers are compared.

    Exits 0 if they agree, 1 if not, 2 if FILE cannot be read or the map is there already.
    """
    _must_be_free(output)
    try:
        config = read_config(file)
    except ConfigInvalid as exc:
        print_text(str(exc), err=True)
        context.exit(BAD_INPUT)
    conversion = converted(config)
    for note in conversion.notes:
        print_text(str(note), err=True)
    ownership = loaded(map_text(conversion.proposal))
    verification = verified(config, conversion, ownership, today=datetime.now(UTC).date())
    _write(conversion.proposal, output)
    _tell(verification, file=displayed(file))
    _tell_next(conversion.proposal, output)
    context.exit(NO if verification.disagreements else 0)


# -- what is told --------------------------------------------------------------------------------------------------


def _tell_unread(files: RuleFiles) -> None:
    for glob in files.unmatched:
        print_text(f"--rules {glob}: no file", err=True)
    for unread in files.unreadable:
        print_text(f"{unread.file}:{unread.line}:{unread.column}: not read from here on: {unread.reason}", err=True)


def _tell(verification: Verification, *, file: str) -> None:
    several = " (continue: several receivers, of which the map keeps one)" if verification.several else ""
    print_text(
        f"verified on {verification.asked} label sets: {verification.agreeing} agree, "
        f"{verification.several} cannot be expressed{several}"
    )
    for route in verification.unwalked:
        print_text(
            f"{file}:{route.line}:{route.column}: not verified: no label set was found that comes here", err=True
        )
    for wrong in verification.disagreements[:_SHOWN]:
        labels = " ".join(f"{name}={value}" for name, value in wrong.labels.items())
        print_text(f"disagreement: {labels}: told {', '.join(wrong.told)}; the map says {wrong.owner}", err=True)
    if verification.disagreements:
        print_text(f"{len(verification.disagreements)} disagree: do not use this map as it is", err=True)


# -- writing -------------------------------------------------------------------------------------------------------


def _must_be_free(output: Path) -> None:
    if output.exists() or output.is_symlink():
        raise click.UsageError(f"{output} is there already: move it away, or name another one with --output.")


def _write(proposal: Proposal, output: Path) -> None:
    """Write the map, and the schema beside it."""
    schema = output.parent / SCHEMA_FILE
    try:
        with output.open("x", encoding="utf-8", newline="\n") as stream:
            stream.write(map_text(proposal))
        kept = schema.exists()
        if not kept:
            with schema.open("x", encoding="utf-8", newline="\n") as stream:
                stream.write(schema_text())
    except OSError as exc:
        raise click.UsageError(f"{exc.filename or output} cannot be written: {exc.strerror}.") from exc
    print_text(f"{displayed(output)}: {_counted(proposal)}")
    print_text(f"{displayed(schema)}: " + ("was there, and stays" if kept else "what editors know about the map"))


def _tell_next(proposal: Proposal, output: Path, *, rules: tuple[str, ...] = ()) -> None:
    print_text("")
    print_text("Next:")
    unknown = proposal.unknown_channels
    if unknown:
        shown = ", ".join(f"#{name}" for name in unknown[:_SHOWN])
        more = f" and {len(unknown) - _SHOWN} more" if len(unknown) > _SHOWN else ""
        print_text(f"- write the ids of these channels in place of C0CHANGEME…: {shown}{more}")
    print_text("- read the map and its comments: names, channels and rules are a proposal")
    told = f" {displayed(output)}" if displayed(output) != "ownership.yaml" else ""
    globs = "".join(f" --rules '{glob}'" for glob in rules)
    print_text(f"- check it: router lint{told}{globs}" + (", which names the alerts that nobody owns" if rules else ""))


def _counted(proposal: Proposal) -> str:
    counts = {"team": len(proposal.teams), "rule": len(proposal.rules), "test": len(proposal.tests)}
    return ", ".join(_number(count, what) for what, count in counts.items() if count)


def _number(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"
