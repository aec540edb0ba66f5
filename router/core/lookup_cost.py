"""What looking one alert up may cost, whatever the alert says: reckoned from the map alone, alike on every machine."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from router.core.entries import Entry, Namespace, Rule
from router.core.findings import Finding, Related
from router.core.model import Place
from router.core.regexes import Regex

# Nanoseconds on a core of 2.5 GHz for a value of 64 bytes that was never seen; a known one costs next to nothing.
# Measured with google-re2 1.1.20251105, as sets: a thousand expressions with a known beginning 5 µs, as many that begin
# with `[a-z]+` 5 to 190 µs, as many that begin with `.*` 1 to 2 ms, sixty of the kind `.*[ab].{20}c.*` 3 to 8 ms.
_INSTRUCTION_NS: Final = 8
_ANYWHERE_INSTRUCTION_NS: Final = 32
_COUNTING_INSTRUCTION_NS: Final = 256
_WORD_NS: Final = 45
# Ten times what a map of ten thousand entries needs, and still nothing beside the write of the decision.
MOST_NS: Final = 3_000_000
# Programs take twice 16 bytes an instruction, and a third of a microsecond to compile.
MOST_INSTRUCTIONS: Final = 500_000
MOST_LABELS: Final = 1_000  # each is looked at for every alert

_NAMED: Final = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """On a label, by one entry of the map."""

    label: str
    regex: Regex | None  # None: listed values, which cost nothing
    of: str  # rule "nodes"
    place: Place


def conditions_of(kind: str, claims: Iterable[Entry | Rule]) -> Iterator[Condition]:
    for claim in claims:
        for matcher in claim.match or ():
            yield Condition(label=matcher.name, regex=matcher.regex, of=f'{kind} "{claim.id}"', place=claim.place)


def conditions_of_globs(namespaces: Iterable[Namespace]) -> Iterator[Condition]:
    for namespace in namespaces:
        if namespace.glob is not None:
            yield Condition(label="", regex=namespace.glob, of=f'namespace "{namespace.key}"', place=namespace.place)


def too_dear(conditions: Iterable[Condition]) -> Finding | None:
    """That looking one alert up among these could take too long, or too much memory; names the dearest entries."""
    labels: set[str] = set()
    reckoned: dict[tuple[str, str], _Reckoned] = {}
    instructions = 0
    for condition in conditions:
        labels.add(condition.label)
        if len(labels) > MOST_LABELS:
            return _finding(f"the matchers are about more than {MOST_LABELS:,} labels", [condition])
        if condition.regex is None or (condition.label, condition.regex.pattern) in reckoned:
            continue
        one = _Reckoned(condition, condition.regex)
        reckoned[condition.label, condition.regex.pattern] = one
        instructions += one.instructions
        if instructions > MOST_INSTRUCTIONS:  # at once: to compile the others could take minutes
            return _finding("the regular expressions are too large together", _dearest(reckoned.values()))
    by_label: dict[str, list[_Reckoned]] = defaultdict(list)
    for (label, _), one in reckoned.items():
        by_label[label].append(one)
    ns = sum(map(_dearest_value, by_label.values()))
    if ns <= MOST_NS:
        return None
    message = f"the regular expressions are too dear together: one alert could take {ns / 1e6:.1f} ms, of 3 ms at most"
    return _finding(message, _dearest(reckoned.values()))


class _Reckoned:
    """One expression, and what it costs."""

    def __init__(self, condition: Condition, regex: Regex) -> None:
        self.condition = condition
        size = regex.instructions
        self.instructions = size if size is not None else MOST_INSTRUCTIONS + 1
        self.beginning = b"" if regex.word is not None else regex.beginning
        if regex.word is not None:
            self.ns = _WORD_NS
        elif regex.counts:
            self.ns = self.instructions * _COUNTING_INSTRUCTION_NS
        else:
            self.ns = self.instructions * (_ANYWHERE_INSTRUCTION_NS if regex.anywhere else _INSTRUCTION_NS)


def _dearest_value(reckoned: Iterable[_Reckoned]) -> int:
    """What the dearest value of a label costs: only what begins as the value does has to be thought of."""
    by_beginning: dict[bytes, int] = defaultdict(int)
    for one in reckoned:
        by_beginning[one.beginning] += one.ns
    return max(
        sum(by_beginning.get(beginning[:length], 0) for length in range(len(beginning) + 1))
        for beginning in by_beginning
    )


def _dearest(reckoned: Iterable[_Reckoned]) -> list[Condition]:
    by_cost = sorted(reckoned, key=lambda one: -one.ns)
    by_entry = {one.condition.of: one.condition for one in reversed(by_cost)}
    return list(reversed(by_entry.values()))[:_NAMED]


def _finding(message: str, dearest: Sequence[Condition]) -> Finding:
    first, *others = dearest
    return Finding(
        code="OWN002",
        message=f"{message}; the dearest is of {first.of}"
        + (f", then {', '.join(other.of for other in others)}" if others else ""),
        help="begin an expression with the text that a value must begin with, count less ({20}),"
        " or name the values: {label: [one, other]}",
        file=first.place.file,
        line=first.place.line,
        column=first.place.column,
        related=tuple(
            Related(file=other.place.file, line=other.place.line, column=other.place.column, message=other.of)
            for other in others
        ),
    )
