"""What is wrong with one file's shape, in words, with the most special code of each defect and the place of it."""

import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from difflib import get_close_matches
from typing import Any, Final, TypeVar

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from router.core.findings import Finding
from router.ownership_file.document import START, Document, Path, Span
from router.ownership_file.shape import (
    DATE,
    DURATION,
    EXPECTED,
    MENTION,
    ROOT_ONLY,
    RootShape,
    Shape,
    keys_at,
)

S = TypeVar("S", bound=Shape)

# Slack's tokens and webhook addresses, and passwords in addresses: quoted nowhere.
SECRET: Final = re.compile(
    r"xox[a-z]-[\w-]+|xapp-[\w-]+|hooks\.slack\.com/services/\S*|(?<=://)[^/\s:@]+:[^/\s@]+(?=@)"
)
_PERSON: Final = re.compile(r"<?@?[UW][A-Z0-9]{6,}>?|\S+@\S+\.\S+")


def read_shape(document: Document, shape: type[S]) -> S | None:
    """The file as `shape`; None if it has a defect, which `document.findings` then tells."""
    if not document.usable:
        return None
    value = {} if document.value is None else document.value
    if not isinstance(value, dict):
        document.findings.append(
            document.finding("OWN005", "the file must be a mapping: version, teams, fallback", START)
        )
        return None
    before = len(document.findings)
    if not issubclass(shape, RootShape):
        value = _without_root_only(document, value)
    document.findings.extend(_written(document, value))
    told = {(finding.line, finding.column) for finding in document.findings[before:]}
    try:
        read = shape.model_validate(value)
    except ValidationError as exc:
        for error in exc.errors(include_url=False):
            finding = _finding(document, error)
            # A value is told once, by the more special word; at the name of an entry several keys can be missing.
            if error["type"] == "missing" or (finding.line, finding.column) not in told:
                document.findings.append(finding)
        return None
    return read if len(document.findings) == before else None


def _without_root_only(document: Document, value: Mapping[str, object]) -> dict[str, object]:
    for key in value:
        if key in ROOT_ONLY:
            document.findings.append(
                document.finding("OWN007", f'"{key}" belongs into the root file only', document.key((key,)))
            )
    return {key: part for key, part in value.items() if key not in ROOT_ONLY}


def quoted(text: object) -> str:
    """`text` for a message: short, and without what is secret."""
    shown = SECRET.sub("…", str(text))
    return f'"{shown if len(shown) <= 80 else shown[:79] + "…"}"'


# -- what pydantic finds -------------------------------------------------------------------------------------------


def _finding(document: Document, error: ErrorDetails) -> Finding:
    path, at_key = _path(document, error["loc"])
    kind = error["type"]
    if kind == "missing":
        return document.finding("OWN005", f'"{error["loc"][-1]}" is missing', document.name(path))
    if kind == "extra_forbidden":
        close = get_close_matches(str(path[-1]), keys_at(path[:-1]), n=1)
        return document.finding(
            "OWN004",
            f"unknown key {quoted(path[-1])}",
            document.key(path),
            help=f'did you mean "{close[0]}"?' if close else f"here may stand: {', '.join(keys_at(path[:-1]))}",
        )
    span = document.key(path) if at_key else document.values.get(path, document.key(path))
    message, advice = _explained(document, error, span)
    return document.finding(_code(path, error), message, span, help=advice)


def _path(document: Document, loc: tuple[int | str, ...]) -> tuple[Path, bool]:
    """The path of the map that pydantic's location means, and whether it means the key there.

    Its locations also name the alternatives that were tried, and positions in lists that a validator made.
    """
    at_key = loc[-1:] == ("[key]",)
    path: Path = ()
    for part in loc:
        if (*path, part) in document.keys or (*path, part) in document.values:
            path = (*path, part)
    return path, at_key


def _code(path: Path, error: ErrorDetails) -> str:
    context = error.get("ctx", {})
    given = error["input"]
    if error["type"] == "matcher":
        return str(context["code"])
    if isinstance(given, str) and SECRET.search(given):
        return "OWN801"
    if _is_channel(path):
        return "OWN111"
    if path[-1:] == ("mention",) and isinstance(given, str) and _PERSON.fullmatch(given):
        return "OWN112"
    return "OWN005"


def _is_channel(path: Path) -> bool:
    """Whether `path` is a channel, or a channel's name or id."""
    if path[-1:] in (("name",), ("id",)):
        path = path[:-1]
    return len(path) > 1 and (path[-1] == "channel" or path[-2:-1] == ("channels",))


def _explained(document: Document, error: ErrorDetails, span: Span) -> tuple[str, str | None]:
    """A sentence about a wrong value, and what to do about it."""
    kind, given = error["type"], error["input"]
    context: Mapping[str, Any] = error.get("ctx", {})  # Any: whatever pydantic tells about this kind of error
    if kind == "matcher":
        return f"matcher {quoted(given)}: {context['reason']}", _matcher_advice(str(given), str(context["code"]))
    if kind == "OWN005":
        return str(context["reason"]), None
    if kind == "string_pattern_mismatch":
        return f"{quoted(given)} is not {EXPECTED[context['pattern']]}", _text_advice(str(given), context["pattern"])
    if kind == "enum":
        words = [word.strip("' ") for word in re.split(r",| or ", context["expected"])]
        close = get_close_matches(str(given), words, n=1)
        return (
            f"{quoted(_as_written(document, given, span))} is not one of {', '.join(words)}",
            f'did you mean "{close[0]}"?' if close else None,
        )
    if kind in ("too_short", "string_too_short"):
        return f'"{error["loc"][-1]}" is empty', None
    wanted = _WANTED.get(kind)
    if wanted is None:
        return error["msg"], None
    found = _as_written(document, given, span)
    advice = None
    if isinstance(given, str) and SECRET.search(given):
        advice = "a secret does not belong into the map: take it out, and revoke it"
    elif kind == "string_type" and isinstance(given, int) and error["loc"][-1] in _DURATIONS:
        advice = f"of what? minutes are {found}m"
    elif kind == "string_type" and not isinstance(given, dict | list):
        advice = f'put it in quotes: "{found}"'
    elif kind == "list_type" and isinstance(given, str):
        advice = "put it in brackets: [...]"
    elif kind == "bool_type" and str(given).lower() in ("yes", "no", "on", "off"):
        advice = "only YAML 1.1 reads this as a boolean: write true or false"
    elif isinstance(given, str) and _is_channel(error["loc"]):
        advice = "write {name: pay-alerts, id: C0PAYALERT}"
    return (
        f"expected {wanted}, found {_kind(given)}{f' {quoted(found)}' if not isinstance(given, dict | list) else ''}",
        advice,
    )


_DURATIONS: Final = frozenset(
    {"grace", "max_runtime", "respond_within", "recover_within", "triage_within", "every", "review_every"}
)
_WANTED: Final = {
    "string_type": "text",
    "int_type": "a number",
    "bool_type": "true or false",
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "list_type": "a list",
    "greater_than_equal": "a smaller choice: 1 is the least",
    "less_than_equal": "a number that is not too large",
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


def _matcher_advice(text: str, code: str) -> str | None:
    if code == "OWN207":
        return "Alertmanager's regular expressions are RE2: no look-around, no backreferences"
    written = _MATCHER.fullmatch(text)
    if written is None or written["value"].startswith('"'):
        return None
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


def _text_advice(text: str, pattern: str) -> str | None:
    if pattern == DATE:
        for form in _DATES:
            try:
                return f"write {datetime.strptime(text, form).date().isoformat()}"  # noqa: DTZ007  (a date has no zone)
            except ValueError:
                continue
    if pattern == DURATION and text.isascii() and text.isdigit():
        return f"of what? minutes are {text}m"
    if pattern == MENTION and _PERSON.fullmatch(text):
        return "name a user group: a person goes on holiday"
    return None


# -- what the shape cannot say -------------------------------------------------------------------------------------


def _written(document: Document, value: Mapping[str, object]) -> Iterator[Finding]:
    """Defects that depend on more than one key."""
    yield from _empty_values(document)
    for name, team in _mappings(value.get("teams")):
        yield from _team(document, name, team)
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


def _empty_values(document: Document) -> Iterator[Finding]:
    for path, span in document.values.items():
        if path and path[:1] != ("tests",) and _at(document.value, path) is None:
            comment = _comment(document, span)
            if _is_channel(path) and comment is not None:
                message = "a channel is missing: what follows # is a comment"
                yield document.finding("OWN111", message, comment, help="write {name: pay-alerts, id: C0PAYALERT}")
            elif path[-1] == "channel" and len(path) == 3 and path[0] == "teams":
                continue  # OWN110
            else:
                what = f'"{path[-1]}"' if isinstance(path[-1], str) else "this element"
                advice = (
                    "what follows # is a comment: put the value in quotes"
                    if comment is not None
                    else "give it a value, or leave it out"
                )
                yield document.finding("OWN005", f"{what} is empty", span, help=advice)


def _at(value: object, path: Path) -> object:
    for part in path:
        value = value[part]  # type: ignore[index]  # every path of the document leads through its collections
    return value


def _team(document: Document, name: str, team: Mapping[str, object]) -> Iterator[Finding]:
    if "dissolved" in team:
        if "successor" not in team:
            message = f'team "{name}" is dissolved: "successor" is missing'
            yield document.finding("OWN005", message, document.key(("teams", name)))
    elif team.get("channel") is None and not _is_comment(document, ("teams", name, "channel")):
        yield document.finding(
            "OWN110",
            f'team "{name}" has no channel',
            document.key(("teams", name)),
            help="give it `channel: {name: …, id: C…}`, or `dissolved` and `successor`",
        )


def _is_comment(document: Document, path: Path) -> bool:
    return path in document.values and _comment(document, document.values[path]) is not None


def _comment(document: Document, span: Span) -> Span | None:
    """Where a comment begins right after `span`, which holds nothing: `channel: #alerts`."""
    line = document.lines[span.line - 1]
    sign = line.find("#", span.column - 1)
    return Span(span.line, sign + 1, len(line.rstrip()) + 1) if sign != -1 else None


def _rerun(document: Document, path: Path, rerun: object) -> Iterator[Finding]:
    if not isinstance(rerun, dict):
        return
    safety = rerun.get("safety")
    if safety in ("conditional", "unsafe") and "when" not in rerun:
        yield document.finding("OWN131", f'"{safety}" needs `when`', document.key(path), help="say on what it depends")
    if safety == "unsafe" and "how" in rerun:
        message = '"unsafe" forbids `how`: somebody would paste it'
        yield document.finding("OWN131", message, document.key((*path, "how")), help="delete `how`")


def _rule(document: Document, path: Path, rule: Mapping[str, object]) -> Iterator[Finding]:
    name = document.name(path)
    if "owner" in rule and "drop" in rule:
        yield document.finding("OWN005", "either `owner` or `drop`, not both", name)
    elif "drop" in rule:
        if rule["drop"] is False:
            yield document.finding("OWN005", "`drop` is true or absent", document.values[(*path, "drop")])
        if "reason" not in rule and path[0] == "rules":
            yield document.finding("OWN005", '`drop` needs a "reason"', name)
    elif "owner" not in rule:
        yield document.finding("OWN005", '"owner" is missing', name, help="or `drop: true` with a `reason`")
    if path[0] == "overrides":
        if "expires" not in rule:
            message = "an override without an end: `expires` is missing"
            yield document.finding("OWN303", message, name, help="add `expires: YYYY-MM-DD`, or make it a rule")
        if "reason" not in rule:
            yield document.finding("OWN005", '"reason" is missing', name)


def _ladder(document: Document, stages: object) -> Iterator[Finding]:
    expected = ["override", "label", "job", "service", "rule", "namespace"]
    if isinstance(stages, list) and sorted(map(str, stages)) != sorted(expected):
        message = "`resolve` must name every stage once"
        yield document.finding("OWN005", message, document.values["resolve",], help=f"such as [{', '.join(expected)}]")
