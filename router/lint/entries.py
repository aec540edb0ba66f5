"""Checks of services and jobs: what somebody who is woken by them needs to have."""

import re
from collections.abc import Iterator
from datetime import date
from typing import Final

from router.core.enrichment import filled_command
from router.core.findings import Finding
from router.core.model import Level, RerunSafety
from router.lint.codes import ERROR, WARNING
from router.lint.references import active_team
from router.ownership_file.document import Document, Path
from router.ownership_file.parts import Part, Parts
from router.ownership_file.shape import EntryShape, RerunShape


def check(parts: Parts, today: date) -> Iterator[Finding]:
    for name, service in parts.services.items():
        yield from _without_runbook(parts, name, service)
        yield from _unfillable(service.document, (*service.path, "rerun"), service.shape.rerun)
    for name, job in parts.jobs.items():
        yield from _without_rerun(name, job)
        yield from _unfillable(job.document, (*job.path, "rerun"), job.shape.rerun)
    yield from _unfillable(parts.root, ("defaults", "rerun"), parts.defaults.rerun)


def _without_runbook(parts: Parts, name: str, service: Part[EntryShape]) -> Iterator[Finding]:
    owner = active_team(parts, service.shape.owner)
    if service.shape.runbook or service.shape.runbooks or owner is None or owner.shape.runbook:
        return
    first_tier = service.shape.tier == 1
    yield service.document.finding(
        "OWN120",
        f'service "{name}"{" of tier 1" if first_tier else ""} has no runbook, and neither has its owner',
        service.name,
        severity=ERROR if first_tier else WARNING,
        help="add `runbook: https://…`",
    )


def _without_rerun(name: str, job: Part[EntryShape]) -> Iterator[Finding]:
    rerun = job.shape.rerun
    if rerun is None:
        yield job.document.finding(
            "OWN130",
            f'job "{name}" does not say whether it may be run again',
            job.name,
            severity=WARNING,
            help="add `rerun: {safety: …}`: safe, conditional, unsafe or not_needed",
        )
    elif rerun.safety is RerunSafety.UNKNOWN and job.shape.severity is Level.CRITICAL:
        yield job.document.finding(
            "OWN130",
            f'job "{name}" is critical, and nobody knows whether it may be run again',
            job.at("rerun", "safety"),
            severity=WARNING,
            help="find out: safe, conditional, unsafe or not_needed",
        )


# What looks like a placeholder, or like a template of Prometheus. Not what shells, jq, awk and JSONPath put in braces:
# ${NAME}, {a,b}, {1..3}, {"a": 1}, {print $1}, {.items}.
_MEANT: Final = re.compile(r"\{\{ ?\$labels\.\w+ ?\}\}|(?<!\$)\{(?P<name>[^\W\d][\w.-]*)(?:\|\w+)?\}")


def _unfillable(document: Document, path: Path, rerun: RerunShape | None) -> Iterator[Finding]:
    """Placeholders of a command that no label can fill: no label's name, or another filter than `|lower`."""
    if rerun is None or rerun.how is None or rerun.safety is RerunSafety.UNSAFE:  # then `how` itself is refused
        return
    for meant in _MEANT.finditer(rerun.how):
        if meant["name"] is not None and filled_command(meant[0], {meant["name"]: "x"}) != meant[0]:
            continue
        yield document.finding(
            "OWN131",
            f"no label can fill {meant[0]} in `how`",
            document.key((*path, "how")),
            severity=WARNING,
            help="write {label} or {label|lower}; a label's name is of letters, digits, _ and .",
        )
