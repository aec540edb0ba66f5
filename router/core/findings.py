"""What is wrong with the map, or with what it is compared with, at a place that somebody can open."""

from dataclasses import dataclass
from enum import StrEnum


class FindingSeverity(StrEnum):
    """How much a finding matters: `router lint` fails from `--fail-on` upwards."""

    ERROR = "error"
    WARNING = "warning"
    INFO = "info"


@dataclass(frozen=True, slots=True, kw_only=True)
class Related:
    """Another place that a finding is about: the first of two equal keys, the rule that shadows."""

    file: str
    line: int
    column: int
    message: str
    end_column: int | None = None  # on the same line


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One defect, at a place. Lines and columns count from 1, columns in characters; `end_column` is the one after."""

    code: str
    message: str
    file: str
    line: int
    column: int
    help: str | None = None
    end_column: int | None = None  # on the same line
    severity: FindingSeverity = FindingSeverity.ERROR
    related: tuple[Related, ...] = ()

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}: {self.code} {self.message}"
