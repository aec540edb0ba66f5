"""What is wrong with one file's shape, in words, with the most special code of each defect and the place of it."""

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from difflib import get_close_matches
from itertools import islice
from typing import Any, Final, Generic, TypeVar, get_type_hints

from pydantic import TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from router.core.findings import Finding, FindingSeverity
from router.core.quoting import LONGEST_KEY, SECRET, did_you_mean, quoted
from router.ownership_file.document import NOTHING, SECTIONS, START, Document, Path, Span, below
from router.ownership_file.shape import (
    DATE,
    DURATION,
    EXPECTED,
    IF_UNACKED,
    MENTION,
    ROOT_ONLY,
    RootShape,
    TeamFileShape,
    keys_at,
)
from router.ownership_file.traps import taken_for

S = TypeVar("S", bound=TeamFileShape)

ENOUGH_FINDINGS: Final = 1_000  # of one file's shape, and of a map's names


def read_shape(document: Document, shape: type[S], *, wanted: bool = True) -> S | None:
    """The file as `shape`, if it is `wanted` and has no error. `document.findings` tells its defects in any case."""
    if not document.usable:
        return None
    value = {} if document.value is None else document.value
    if not isinstance(value, dict):
        message = "the file must be a mapping: version, teams, fallback"
        document.findings.append(document.finding("OWN005", message, START))
        return None
    reader = _Reader(document, shape, wanted=wanted and not has_errors(document.findings))
    document.findings += the_first(reader.defects(value))
    return reader.shape()


def has_errors(findings: Iterable[Finding]) -> bool:
    return any(finding.severity is FindingSeverity.ERROR for finding in findings)


def the_first(findings: Iterator[Finding]) -> list[Finding]:
    """As many findings as somebody can use; the last one says that there are more."""
    found = list(islice(findings, ENOUGH_FINDINGS))
    if len(found) == ENOUGH_FINDINGS and next(findings, None) is not None:
        more = f"there are more: these are the first {ENOUGH_FINDINGS:,}"
        found[-1] = replace(found[-1], help=f"{found[-1].help}; {more}" if found[-1].help else more)
    return found


def trap_findings(document: Document, findings: Collection[Finding]) -> Iterator[Finding]:
    """Values and keys that are right here, and that other YAML readers would take for something else.

    Nothing is said where one of the file's `findings` is about the value, or about an unknown key around it.
    """
    if not document.usable or not document.traps:
        return
    findings = [finding for finding in findings if finding.file == document.file]
    told = {(finding.line, finding.column) for finding in findings}
    unknown = {(finding.line, finding.column) for finding in findings if finding.code in ("OWN004", "OWN007")}
    for path, is_key, text in document.traps:
        span = document.key(path) if is_key else document.value_at(path)
        around = (document.key(path[:length])[:2] for length in range(1, len(path) + 1))
        if span[:2] not in told and unknown.isdisjoint(around):
            yield document.finding(
                "OWN006", _unquoted(text), span, help=f"write {quoted(text)}", severity=FindingSeverity.WARNING
            )


def _unquoted(text: str) -> str:
    return f"`{quoted(text)[1:-1]}` unquoted: {taken_for(text)}"


# -- what pydantic finds -------------------------------------------------------------------------------------------

_SECTIONS: Final[Mapping[str, TypeAdapter[Any]]] = {  # Any: dicts, or lists, of what the section holds
    name: TypeAdapter(annotation)
    for name, annotation in get_type_hints(RootShape, include_extras=True).items()
    if name in SECTIONS
}
_LISTS: Final = frozenset({"rules", "overrides", "tests"})


class _Reader(Generic[S]):
    """Validates the entries of a file one by one: a million defects of a whole file would not fit into memory."""

    def __init__(self, document: Document, shape: type[S], *, wanted: bool) -> None:
        self._document = document
        self._type = shape
        self._wanted = wanted  # until there is an error; what was read is kept no longer then
        self._plain: S | None = None  # what is in no section
        self._sections: dict[str, Any] = {}  # Any: dicts, or lists, of what the section holds
        self._told: set[tuple[int, int]] = set()

    def shape(self) -> S | None:
        """The whole file, after `defects` found no error."""
        wanted = self._plain if self._wanted else None
        return wanted.model_copy(update=self._sections) if wanted is not None else None

    def defects(self, value: Mapping[str, object]) -> Iterator[Finding]:
        for finding in self._all_defects(value):
            if self._wanted and finding.severity is FindingSeverity.ERROR:
                self._wanted = False
                self._sections.clear()
            yield finding

    def _all_defects(self, value: Mapping[str, object]) -> Iterator[Finding]:
        own = {}
        for key, part in value.items():
            if key in ROOT_ONLY and not issubclass(self._type, RootShape):
                message = f'"{key}" belongs in the root file only'
                yield self._document.finding("OWN007", message, self._document.key((key,)), help="move it there")
            elif key not in _ROOT_KEYS:
                yield _unknown_key(self._document, (key,))
            else:
                own[key] = part
        for finding in _written(self._document, own):
            self._told.add((finding.line, finding.column))
            yield finding
        plain: dict[str, object] = {}
        for key, part in own.items():
            if key in SECTIONS and isinstance(part, list if key in _LISTS else dict):
                plain[key] = [] if key in _LISTS else {}
                yield from self._section(key, part)
            else:
                plain[key] = part
        try:
            self._plain = self._type.model_validate(plain)
        except ValidationError as exc:
            yield from self._findings((), exc)

    def _section(self, key: str, part: object) -> Iterator[Finding]:
        validate = _SECTIONS[key].validate_python
        keep: Callable[[Any], None]  # Any: as in _sections
        entries: Iterable[tuple[str | int, object]]  # each with a section of it alone
        if isinstance(part, list):
            keep = self._sections.setdefault(key, []).extend
            entries = ((index, [entry]) for index, entry in enumerate(part))
        else:
            keep = self._sections.setdefault(key, {}).update
            entries = ((name, {name: entry}) for name, entry in part.items()) if isinstance(part, dict) else ()
        for step, alone in entries:
            try:
                read = validate(alone)
            except ValidationError as exc:
                yield from self._findings((key, step), exc)
            else:
                if self._wanted:
                    keep(read)

    def _findings(self, path: Path, exc: ValidationError) -> Iterator[Finding]:
        """What is wrong with the part at `path`, of which pydantic's locations begin anew with one step."""
        for error in exc.errors(include_url=False):
            error["loc"] = (*path, *error["loc"][1:]) if path else error["loc"]
            if error["type"] == "missing" and self._is_misspelt(error):
                continue
            finding = _finding(self._document, error)
            # A value is told once, by the more special word; at the name of an entry several keys can be missing.
            if error["type"] == "missing" or (finding.line, finding.column) not in self._told:
                yield finding

    def _is_misspelt(self, error: ErrorDetails) -> bool:
        """Whether the key that is missing is there under a wrong name, which is told already."""
        *parent, key = error["loc"]
        mapping = error["input"] if parent else self._document.value
        return isinstance(mapping, dict) and key in _misspelt(mapping, _path(self._document, tuple(parent))[0])


_ROOT_KEYS: Final = frozenset(keys_at(()))


def _misspelt(mapping: Mapping[str, object], path: Path) -> set[str]:
    """The keys that unknown keys of the mapping at `path` nearly are: one typing error is one finding."""
    known = keys_at(path)
    unknown = [key for key in mapping if key not in known][:_LOOKED_AT]
    return {close for key in unknown if len(key) <= LONGEST_KEY for close in get_close_matches(key, known, n=1)}


_LOOKED_AT: Final = 20


def _unknown_key(document: Document, path: Path) -> Finding:
    known = keys_at(path[:-1])
    advice = did_you_mean(str(path[-1]), known) or f"here may stand: {', '.join(known)}"
    return document.finding("OWN004", f"unknown key {quoted(path[-1])}", document.key(path), help=advice)


def _finding(document: Document, error: ErrorDetails) -> Finding:
    path, at_key = _path(document, error["loc"])
    kind = error["type"]
    if kind == "missing":
        return document.finding("OWN005", f'"{error["loc"][-1]}" is missing', document.name(path))
    if kind == "extra_forbidden":
        return _unknown_key(document, path)
    span = document.key(path) if at_key else document.value_at(path)
    message, advice = _explained(document, error, span)
    return document.finding(_code(path, error), message, span, help=advice)


def _path(document: Document, loc: tuple[int | str, ...]) -> tuple[Path, bool]:
    """The path of the map that pydantic's location means, and whether it means the key there.

    Its locations also name the alternative of a `match` that was tried, and positions in lists that a validator made.
    """
    at_key = loc[-1:] == ("[key]",)
    path: Path = ()
    value = document.value
    for before, part in zip(("", *loc), loc, strict=False):
        if part in ("labels", "matchers") and before in ("match", "scope"):
            continue
        if (found := below(value, part)) is not NOTHING:
            path, value = (*path, part), found
    return path, at_key


def _code(path: Path, error: ErrorDetails) -> str:
    """The most special word for it."""
    context = error.get("ctx", {})
    given = error["input"]
    if error["type"] == "matcher":
        return str(context["code"])
    if isinstance(given, str) and SECRET.search(given):
        return "OWN801"
    if _is_channel(path) and error["loc"][-1] != "[key]":  # the key is a level
        return "OWN111"
    if path[:1] == ("overrides",) and path[2:] == ("expires",):
        return "OWN303"
    if path[-1:] == ("mention",) and isinstance(given, str) and _is_person(given):
        return "OWN112"
    if path[-1:] == ("owner",) and isinstance(given, str) and _is_account(given):
        return "OWN112"
    return "OWN005"


# Slack's markup for one, or an e-mail address.
_ACCOUNT: Final = re.compile(r"<@[UW][A-Z0-9]{6,}>|@?[UW][A-Z0-9]{6,}|[^\s@]+@[^\s@]+\.[^\s@]+")
_FULL_NAME: Final = re.compile(r"[A-Z][^\s@]*( [A-Z][^\s@]*)+")
_PERSON_ID: Final = re.compile(r"[UW][A-Z0-9]{8,}")
_LONGEST_EXPLAINED: Final = 400  # characters of a value that advice looks at; the patterns are not made for more


def _is_person(text: str) -> bool:
    return _is_account(text) or (len(text) <= _LONGEST_EXPLAINED and _FULL_NAME.fullmatch(text) is not None)


def _is_account(text: str) -> bool:
    return len(text) <= _LONGEST_EXPLAINED and _ACCOUNT.fullmatch(text) is not None


def _is_channel(path: Path) -> bool:
    """Whether `path` is a channel, or a channel's name or id."""
    if path[-1:] in (("name",), ("id",)):
        path = path[:-1]
    return len(path) > 1 and (path[-1] == "channel" or path[-2:-1] == ("channels",))


def _explained(document: Document, error: ErrorDetails, span: Span) -> tuple[str, str | None]:
    """A sentence about a wrong value, and what to do about it."""
    kind, given = error["type"], error["input"]
    context: Mapping[str, Any] = error.get("ctx", {})  # Any: whatever pydantic tells about this kind of error
    trap = _trap_at(document, span, given)
    if kind == "matcher":
        return f"matcher {quoted(given)}: {context['reason']}", _matcher_advice(
            str(given), str(context["code"]), str(context["reason"])
        )
    if kind == "OWN005":
        return f"{context['reason']}{trap}", None
    if kind == "string_pattern_mismatch":
        advice = _text_advice(str(given), context["pattern"])
        if error["loc"][-1] == "owner" and _is_account(str(given)):
            advice = "name a team: a person goes on holiday"
        return f"{quoted(given)} is not {EXPECTED[context['pattern']]}{trap}", advice
    if kind == "enum":
        words = [word.strip("' ") for word in re.split(r",| or ", context["expected"])]
        found = quoted(_as_written(document, given, span))
        return f"{found} is not one of {', '.join(words)}{trap}", did_you_mean(str(given), words)
    if kind in ("too_short", "string_too_short"):
        return f"{quoted(_named(error['loc']))} is empty", None
    if kind in ("greater_than_equal", "less_than_equal"):
        found, limit = _as_written(document, given, span), context["ge" if "ge" in context else "le"]
        return f"{found} is {'too low: the least' if 'ge' in context else 'too high: the most'} is {limit}", None
    wanted = _WANTED.get(kind)
    if wanted is None:
        return error["msg"], None
    found = "" if isinstance(given, dict | list) else f" {quoted(_as_written(document, given, span))}"
    return f"expected {wanted}, found {_kind(given)}{found}{trap}", _kind_advice(document, error, span)


def _named(loc: tuple[int | str, ...]) -> int | str:
    """What a location is called in the map, without the alternatives of a `match`."""
    alternative = loc[-1] in ("labels", "matchers") and loc[-2:-1] in (("match",), ("scope",))
    return loc[-2] if alternative else loc[-1]


def _kind_advice(document: Document, error: ErrorDetails, span: Span) -> str | None:
    """What to do about a value of the wrong type."""
    kind, given = error["type"], error["input"]
    if isinstance(given, str) and SECRET.search(given):
        return _REVOKE
    if kind == "string_type" and not isinstance(given, dict | list):
        found = _as_written(document, given, span)
        is_duration = isinstance(given, int) and error["loc"][-1] in _DURATIONS
        return f"of what? minutes are {found}m" if is_duration else f'put it in quotes: "{found}"'
    if kind == "list_type" and isinstance(given, str):
        return "put it in brackets: [...]"
    if kind == "bool_type" and str(given).lower() in ("yes", "no", "on", "off"):
        return "only YAML 1.1 reads this as a boolean: write true or false"
    if kind == "int_type" and isinstance(given, str) and given.isascii() and given.isdigit():
        return f"write {quoted(given)[1:-1]}, without quotes"
    if isinstance(given, str) and _is_channel(error["loc"]):
        return "write {name: pay-alerts, id: C0PAYALERT}"
    return None


def _trap_at(document: Document, span: Span, given: object) -> str:
    """What YAML 1.1 makes of a wrong value: often the reason why somebody wrote another one than they meant."""
    if not isinstance(given, str) or document.written(span)[:1] in ("", '"', "'") or taken_for(given) is None:
        return ""
    return f" ({_unquoted(given)})"


_DURATIONS: Final = frozenset(
    {"grace", "max_runtime", "respond_within", "recover_within", "triage_within", "every", "review_every", "if_unacked"}
)
_WANTED: Final = {
    "string_type": "text",
    "int_type": "a number",
    "bool_type": "true or false",
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "list_type": "a list",
}


def _kind(given: object) -> str:
    match given:
        case bool():
            return "the boolean"
        case int():
            return "the number"
        case str():
            return "the text"
        case dict():
            return "a mapping"
        case list():
            return "a list"
        case _:
            return "nothing"


def _as_written(document: Document, given: object, span: Span) -> str:
    return document.written(span) if not isinstance(given, str) and span.end_column is not None else str(given)


_NOT_IN_RE2: Final = re.compile(r"\(\?<?[=!]|\\[1-9]|\(\?P[=>]|\(\?>|[+*?}]\+")


def _matcher_advice(text: str, code: str, reason: str) -> str | None:
    if code == "OWN207":
        if _NOT_IN_RE2.search(text[:_LONGEST_EXPLAINED]):
            return "Alertmanager's regular expressions are RE2: no look-around, no backreferences"
        return "a repetition is at most {1000}" if "repetition size" in reason else None
    written = _MATCHER.fullmatch(text) if len(text) <= _LONGEST_EXPLAINED else None
    if written is None or written["value"].startswith('"'):
        return None
    if written["value"].startswith("="):  # as programs compare
        return "an operator is one of =, !=, =~ and !~"
    value = written["value"].strip("'").replace("\\", "\\\\").replace('"', '\\"')
    return f'write {written["name"]}{written["operator"]}"{value}"'


_MATCHER: Final = re.compile(
    r"""\s*(?P<name>[^\s={}!~,"'`\\]+)\s*(?P<operator>=~|!~|!=|=)\s*(?P<value>.*?)\s*""", re.DOTALL
)
_DATES: Final = (
    "%d-%b-%Y",
    "%d %b %Y",
    "%d-%B-%Y",
    "%d %B %Y",
    "%d.%m.%Y",
    "%Y/%m/%d",
    "%Y.%m.%d",
    "%Y%m%d",
    "%Y-%m-%d",
)


_REVOKE: Final = "a secret does not belong in the map: take it out, and revoke it"
_GROUP: Final = "name a user group: a person goes on holiday"


def _text_advice(text: str, pattern: str) -> str | None:
    if SECRET.search(text):
        return _REVOKE
    if len(text) > _LONGEST_EXPLAINED:
        return None
    if pattern == DATE:
        for form in _DATES:
            try:
                return f"write {datetime.strptime(text, form).date().isoformat()}"  # noqa: DTZ007  (a date has no zone)
            except ValueError:
                continue
    if pattern in (DURATION, IF_UNACKED) and text.isascii() and text.isdigit():
        return f"of what? minutes are {text}m"
    if pattern == MENTION and _is_person(text):
        return _GROUP
    return None


# -- what the shape cannot say -------------------------------------------------------------------------------------


def _written(document: Document, value: Mapping[str, object]) -> Iterator[Finding]:
    """Defects that depend on more than one key."""
    yield from _empty_values(document, value)
    for name, team in _mappings(value.get("teams")):
        yield from _team(document, name, team)
        yield from _person(document, ("teams", name, "mention"), team.get("mention"))
    fallback = value.get("fallback")
    if isinstance(fallback, dict):
        yield from _person(document, ("fallback", "mention"), fallback.get("mention"))
    for kind in ("services", "jobs"):
        for name, entry in _mappings(value.get(kind)):
            yield from _rerun(document, (kind, name, "rerun"), entry.get("rerun"))
    for kind in ("rules", "overrides"):
        rules = value.get(kind)
        for index, rule in enumerate(rules if isinstance(rules, list) else []):
            if isinstance(rule, dict):
                yield from _rule(document, (kind, index), rule)
    defaults = value.get("defaults")
    if isinstance(defaults, dict):
        yield from _rerun(document, ("defaults", "rerun"), defaults.get("rerun"))
    yield from _ladder(document, value.get("resolve"))


def _mappings(value: object) -> Iterator[tuple[str, dict[str, object]]]:
    if isinstance(value, dict):
        yield from ((name, part) for name, part in value.items() if isinstance(part, dict))


def _empty_values(document: Document, value: Mapping[str, object]) -> Iterator[Finding]:
    for path in document.empty:
        if not path or path[0] == "tests" or path[0] not in value:
            continue
        span = document.value_at(path)
        comment = _comment(document, span)
        if _is_channel(path) and comment is not None:
            message = "a channel is missing: what follows # is a comment"
            yield document.finding("OWN111", message, comment, help="write {name: pay-alerts, id: C0PAYALERT}")
        elif path[-1] == "channel" and len(path) == 3 and path[0] == "teams":
            continue  # OWN110
        else:
            what = quoted(path[-1]) if isinstance(path[-1], str) else "this element"
            advice = (
                "what follows # is a comment: put the value in quotes"
                if comment is not None
                else "give it a value, or leave it out"
            )
            yield document.finding("OWN005", f"{what} is empty", span, help=advice)


def _team(document: Document, name: str, team: Mapping[str, object]) -> Iterator[Finding]:
    misspelt = _misspelt(team, ("teams", name))
    if "dissolved" in team:
        if "successor" not in team and "successor" not in misspelt:
            message = f'team "{name}" is dissolved: "successor" is missing'
            yield document.finding("OWN005", message, document.key(("teams", name)))
    elif misspelt & {"channel", "dissolved"}:
        return
    elif team.get("channel") is None and not _is_comment(document, ("teams", name, "channel")):
        yield document.finding(
            "OWN110",
            f'team "{name}" has no channel',
            document.key(("teams", name)),
            help="give it `channel: {name: …, id: C…}`, or `dissolved` and `successor`",
        )


def _person(document: Document, path: Path, mention: object) -> Iterator[Finding]:
    """Slack calls a person as well, so the map loads."""
    if isinstance(mention, str) and _PERSON_ID.fullmatch(mention):
        message = f"{quoted(mention)} is one person"
        yield document.finding(
            "OWN112", message, document.value_at(path), help=_GROUP, severity=FindingSeverity.WARNING
        )


def _is_comment(document: Document, path: Path) -> bool:
    return path in document.values and _comment(document, document.value_at(path)) is not None


def _comment(document: Document, span: Span) -> Span | None:
    """Where a comment begins right after `span`, which holds nothing: `channel: #alerts`."""
    line = document.lines[span.line - 1]
    sign = line.find("#", span.column - 1)
    follows = sign != -1 and not line[span.column - 1 : sign].strip()
    return Span(span.line, sign + 1, len(line.rstrip()) + 1) if follows else None


def _rerun(document: Document, path: Path, rerun: object) -> Iterator[Finding]:
    if not isinstance(rerun, dict):
        return
    safety = rerun.get("safety")
    unsaid = rerun.get("when", "") == "" and "when" not in _misspelt(rerun, path)
    if safety in ("conditional", "unsafe") and unsaid:
        yield document.finding("OWN131", f'"{safety}" needs `when`', document.key(path), help="say on what it depends")
    if safety == "unsafe" and "how" in rerun:
        message = '"unsafe" forbids `how`: somebody would paste it'
        yield document.finding("OWN131", message, document.key((*path, "how")), help="delete `how`")


def _rule(document: Document, path: Path, rule: Mapping[str, object]) -> Iterator[Finding]:
    name, there = document.name(path), rule.keys() | _misspelt(rule, path)
    if "owner" in rule and "drop" in rule:
        yield document.finding("OWN005", "either `owner` or `drop`, not both", name)
    elif "drop" in rule:
        if rule["drop"] is False:
            yield document.finding("OWN005", "`drop` is true or absent", document.value_at((*path, "drop")))
        if "reason" not in there and path[0] == "rules":
            yield document.finding("OWN005", '`drop` needs a "reason"', name)
    elif there.isdisjoint({"owner", "drop"}):
        yield document.finding("OWN005", '"owner" is missing', name, help="or `drop: true` with a `reason`")
    if path[0] == "overrides":
        if "expires" not in there:
            message = "an override without an end: `expires` is missing"
            yield document.finding("OWN303", message, name, help="add `expires: YYYY-MM-DD`, or make it a rule")
        if "reason" not in there:
            yield document.finding("OWN005", '"reason" is missing', name)


def _ladder(document: Document, stages: object) -> Iterator[Finding]:
    expected = ["override", "label", "job", "service", "rule", "namespace"]
    if isinstance(stages, list) and sorted(map(str, stages)) != sorted(expected):
        message = "`resolve` must name every stage once"
        yield document.finding(
            "OWN005", message, document.value_at(("resolve",)), help=f"such as [{', '.join(expected)}]"
        )
