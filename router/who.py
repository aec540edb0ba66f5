"""`router who`: who owns these labels, and why. Asks the map alone; nothing has to be running."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, Final

import click

from router.core.errors import OwnershipFileInvalid
from router.core.model import Hours, RerunSafety, Resolution
from router.core.orphans import nearest, stanza
from router.core.ownership import OwnershipMap
from router.options import ownership_option, pairs
from router.ownership_file import load_map
from router.printing import print_text

VERSION: Final = 1
NO: Final = 1
BAD_INPUT: Final = 2

Json = dict[str, Any]  # Any: what json.dumps takes


@click.command(
    short_help="Who owns an alert with these labels, and why.", context_settings={"help_option_names": ["-h", "--help"]}
)
@click.argument("labels", metavar="[LABEL=VALUE]...", nargs=-1)
@click.option("--annotation", "annotations", metavar="NAME=VALUE", multiple=True, help="An annotation; repeatable.")
@click.option("--expect", metavar="TEAM", help="Exit 1 unless this team owns it.")
@click.option("--json", "as_json", is_flag=True, help="Answer for programs; stable, versioned.")
@click.option(
    "--labels-file",
    metavar="FILE",
    help="Many questions: one JSON object with labels, annotations, expect on each line; - is stdin.",
)
@ownership_option()
@click.pass_context
def who(
    context: click.Context,
    labels: tuple[str, ...],
    annotations: tuple[str, ...],
    expect: str | None,
    as_json: bool,
    labels_file: str | None,
    ownership: str,
) -> None:
    """Who owns an alert with these labels, why, and what the map says about it.

    \b
    router who alertname=KubeJobFailed namespace=batch job_name=nightly-export-29398765
    router who --expect payments team=billing
    router who --labels-file questions.jsonl --json

    Exits 0 if there is an owner (with --expect: that one), 1 if not, 2 if the question or the map cannot be read.
    """
    if labels_file is None and not labels:
        raise click.UsageError("Name at least one label, as in alertname=Watchdog, or give --labels-file.")
    if labels_file is not None and (labels or annotations or expect is not None):
        raise click.UsageError("--labels-file holds labels, annotations and expect for each question: give no others.")
    question = Question(labels=pairs(labels, "LABEL"), annotations=pairs(annotations, "--annotation NAME"))
    try:
        ownership_map = load_map(Path(ownership))
    except OwnershipFileInvalid as exc:
        click.echo(str(exc), err=True)
        context.exit(BAD_INPUT)
    for warning in ownership_map.warnings:
        click.echo(f"warning: {warning}", err=True)
    asker = _Asker(ownership_map, today=datetime.now(UTC).date())

    if labels_file is not None:
        try:
            lines = click.open_file(labels_file, "rb")
        except OSError as exc:
            click.echo(f"{labels_file}: cannot be read: {exc.strerror}", err=True)
            context.exit(BAD_INPUT)
        with lines:
            context.exit(asker.ask_all(lines, file=labels_file, as_json=as_json))
    resolution = asker.resolve(question)
    answer = json.dumps(asker.answer(question, resolution), ensure_ascii=False, indent=2) if as_json else None
    print_text(answer or asker.text(question, resolution))
    fine = resolution.owner is not None and expect in (None, resolution.owner)
    if not fine and expect is not None:
        click.echo(f"expected {expect}, found {resolution.owner or 'nobody'}", err=True)
    context.exit(0 if fine else NO)


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """One label set to ask about."""

    labels: Mapping[str, str]
    annotations: Mapping[str, str] = field(default_factory=dict)
    expects: bool = False  # whether `expect` was given: None means "nobody"
    expect: str | None = None


class NotAQuestionError(ValueError):
    """A line of a labels file that does not say what to ask."""


def read_question(line: bytes) -> Question:
    """One line of a labels file. Raises NotAQuestionError."""
    try:
        told = json.loads(line.decode())
    except UnicodeDecodeError as exc:
        raise NotAQuestionError("not UTF-8") from exc
    except (ValueError, RecursionError) as exc:
        raise NotAQuestionError(f"not JSON: {exc}" if isinstance(exc, ValueError) else "nested too deep") from exc
    if not isinstance(told, dict):
        raise NotAQuestionError("not an object with labels")
    if "labels" not in told:
        raise NotAQuestionError('"labels" is missing')
    expect = told.get("expect")
    if expect is not None and not isinstance(expect, str):
        raise NotAQuestionError('"expect" must be a team id or null')
    return Question(
        labels=_texts(told["labels"], "labels"),
        annotations=_texts(told.get("annotations", {}), "annotations"),
        expects="expect" in told,
        expect=expect,
    )


def _texts(told: object, name: str) -> dict[str, str]:
    if not isinstance(told, dict) or not all(isinstance(value, str) for value in told.values()):
        raise NotAQuestionError(f'"{name}" must map strings to strings')
    return {_whole(key): _whole(value) for key, value in told.items()}


def _whole(text: str) -> str:
    """`text` without halves of characters, which JSON can spell and UTF-8 cannot; replaced as Go's decoder does."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


class _Asker:
    """Puts questions to one map, as of one day."""

    def __init__(self, ownership_map: OwnershipMap, *, today: date) -> None:
        self._map = ownership_map
        self._today = today

    def resolve(self, question: Question) -> Resolution:
        return self._map.resolve(question.labels, question.annotations, today=self._today)

    def ask_all(self, lines: Iterable[bytes], *, file: str, as_json: bool) -> int:
        """Answer every line as it comes; the exit code of all of them."""
        code = 0
        filled = ((number, line) for number, line in enumerate(lines, start=1) if line.strip())
        for index, (number, line) in enumerate(filled):
            code = max(code, self._ask_line(index, line, where=f"{file}:{number}", as_json=as_json))
        return code

    def _ask_line(self, index: int, line: bytes, *, where: str, as_json: bool) -> int:
        try:
            question = read_question(line)
        except NotAQuestionError as exc:
            answer: Json = {"version": VERSION, "index": index, "error": str(exc)}
            print_text(json.dumps(answer, ensure_ascii=False) if as_json else f"{index}: {where}: {exc}")
            return BAD_INPUT
        resolution = self.resolve(question)
        fine = resolution.owner == question.expect if question.expects else resolution.owner is not None
        if as_json:
            answer = self.answer(question, resolution) | {"index": index}
            print_text(json.dumps(answer | ({"ok": fine} if question.expects else {}), ensure_ascii=False))
        else:
            wanted = f", expected {question.expect or 'nobody'}" if question.expects and not fine else ""
            print_text(f"{index}: {_owner(self._map, resolution)}{wanted}")
        return 0 if fine else NO

    def answer(self, question: Question, resolution: Resolution) -> Json:
        """The answer for programs."""
        hints = resolution.hints
        return {
            "version": VERSION,
            "labels": dict(question.labels),
            "owner": resolution.owner,
            "via": asdict(resolution.via),
            "dropped": resolution.dropped,
            "severity": hints.severity,
            "respond_within": hints.respond_within,
            "runbook": hints.runbook,
            "rerun": asdict(hints.rerun),
            "channels": [
                {"team": destination.team, "name": destination.channel.name, "id": destination.channel.id}
                for destination in resolution.destinations
            ],
            "also_notify": list(resolution.also_notify),
            "drift": [asdict(drift) for drift in resolution.drift],
            "tried": [asdict(tried) for tried in resolution.tried],
            "map": {"file": self._map.file, "revision": self._map.revision},
        }

    def text(self, question: Question, resolution: Resolution) -> str:
        """The answer for people."""
        rows = [("owner", [_owner(self._map, resolution)])]
        if not resolution.dropped:
            rows += [
                ("severity", [_severity(resolution)]),
                ("channel", [_channels(resolution)]),
                ("runbook", [resolution.hints.runbook or "no runbook"]),
                ("rerun", _rerun(resolution)),
            ]
        rows.append(("drift", [drift.message for drift in resolution.drift] or ["none"]))
        rows.append(("asked", [f"{tried.stage:<10} {tried.reason}" for tried in resolution.tried]))
        rows.append(("map", [f"{self._map.file}, revision {self._map.revision[:12]}"]))
        if resolution.orphan:
            found = nearest(self._map, question.labels)
            rows.append(("nearest", [f"{n.kind} {n.entry} ({n.file}:{n.line}): {n.why}" for n in found] or ["nothing"]))
            rows.append(("to claim", stanza(self._map, question.labels).splitlines()))
        return "\n".join(f"{name if i == 0 else '':<9} {line}" for name, lines in rows for i, line in enumerate(lines))


def _owner(ownership_map: OwnershipMap, resolution: Resolution) -> str:
    via = resolution.via
    place = f"({via.file}:{via.line})"
    if resolution.dropped:
        return f"nobody: dropped by {via.stage} {via.entry} {place}: {resolution.drop_reason}"
    if resolution.owner is None:
        return f"nobody: it goes to the fallback channel {place}"
    name = ownership_map.teams[resolution.owner].name
    team = resolution.owner if name == resolution.owner else f"{resolution.owner} ({name})"
    return f"{team}, by {via.stage} {via.entry} {place}"


def _severity(resolution: Resolution) -> str:
    hints = resolution.hints
    if hints.respond_within is None:
        return f"{hints.severity}, no deadline"
    within = f"{hints.severity}, respond within {hints.respond_within}"
    return f"{within}, in business hours" if hints.hours is Hours.BUSINESS else within


def _channels(resolution: Resolution) -> str:
    first, *others = [destination.channel.name for destination in resolution.destinations]
    return f"#{first}" + "".join(f", for information #{other}" for other in others)


def _rerun(resolution: Resolution) -> list[str]:
    rerun = resolution.hints.rerun
    safety = "not declared" if rerun.safety is RerunSafety.UNKNOWN else rerun.safety.replace("_", " ")
    lines = [f"{safety}: {rerun.when}" if rerun.when else safety]
    lines += [f"{what} {told}" for what, told in (("run", rerun.how), ("ask", rerun.ask)) if told]
    return [*lines, f"within {rerun.recover_within}"] if rerun.recover_within else lines
