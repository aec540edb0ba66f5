"""A report as SARIF 2.1.0, which code scanning reads (OASIS, docs.oasis-open.org/sarif/sarif/v2.1.0)."""

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath
from typing import Any, Final
from urllib.parse import quote

from router.core.findings import Finding, FindingSeverity
from router.lint.codes import CODES, Code
from router.lint.explaining import page_of

# GitHub refuses a run with more. (docs.github.com, "SARIF support for code scanning", validating your SARIF file)
MAX_RESULTS: Final = 25_000

Json = dict[str, Any]  # Any: what json.dumps takes

_LEVELS: Final = {FindingSeverity.ERROR: "error", FindingSeverity.WARNING: "warning", FindingSeverity.INFO: "note"}


def as_sarif(findings: Sequence[Finding], *, version: str) -> str:
    """One run of `router lint`; of too many findings the most severe ones."""
    urgent = sorted(findings, key=lambda finding: list(_LEVELS).index(finding.severity))
    invocation: Json = {"executionSuccessful": True}
    if len(urgent) > MAX_RESULTS:
        told = f"{len(urgent) - MAX_RESULTS} more findings are left out"
        invocation["toolExecutionNotifications"] = [{"level": "warning", "message": {"text": told}}]
    codes = sorted({finding.code for finding in findings})
    run: Json = {
        "tool": {
            "driver": {
                "name": "router lint",
                "version": version,
                "rules": [_rule(CODES[code]) for code in codes],
            }
        },
        "invocations": [invocation],
        "columnKind": "unicodeCodePoints",
        "results": list(_results(urgent[:MAX_RESULTS], codes)),
    }
    log: Json = {
        "$schema": "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json",
        "version": "2.1.0",
        "runs": [run],
    }
    return json.dumps(log, ensure_ascii=False, indent=2)


def _rule(code: Code) -> Json:
    page = page_of(code.id)
    return {
        "id": code.id,
        "shortDescription": {"text": code.title},
        "help": {"text": page, "markdown": page},
        "defaultConfiguration": {"level": _LEVELS[code.severities[0]]},
    }


def _results(findings: Sequence[Finding], codes: Sequence[str]) -> Iterator[Json]:
    indices = {code: index for index, code in enumerate(codes)}
    seen: Counter[str] = Counter()
    for finding in findings:
        fingerprint = _fingerprint(finding)
        seen[fingerprint] += 1
        yield {
            "ruleId": finding.code,
            "ruleIndex": indices[finding.code],
            "level": _LEVELS[finding.severity],
            "message": {"text": f"{finding.message}\n{finding.help}" if finding.help else finding.message},
            "locations": [_location(finding.file, finding.line, finding.column, finding.end_column)],
            "relatedLocations": [
                _location(related.file, related.line, related.column, related.end_column)
                | {"message": {"text": related.message}}
                for related in finding.related
            ],
            # What code scanning tells findings apart by, from one commit to the next: not the line, which moves.
            "partialFingerprints": {"primaryLocationLineHash": f"{fingerprint}:{seen[fingerprint]}"},
        }


def _fingerprint(finding: Finding) -> str:
    told = f"{finding.code}\n{finding.file}\n{finding.message}"
    return hashlib.sha256(told.encode(errors="replace")).hexdigest()[:16]


def _location(file: str, line: int, column: int, end_column: int | None) -> Json:
    region = {"startLine": line, "startColumn": column}
    if end_column is not None:
        region["endColumn"] = end_column
    return {"physicalLocation": {"artifactLocation": _artifact(file), "region": region}}


def _artifact(file: str) -> Json:
    if PurePosixPath(file).is_absolute():
        return {"uri": f"file://{quote(file)}"}
    return {"uri": quote(file), "uriBaseId": "%SRCROOT%"}
