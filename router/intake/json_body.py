"""A body's bytes become a JSON object of Python values, here and nowhere else."""

from pydantic import ValidationError
from pydantic_core import from_json

from router.core.errors import NotUnderstood

REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
SHOWN_NAME_LENGTH = 60
NO_OBJECT = "should be a JSON object"
# pydantic's own words speak of Python.
WORDS = {
    "missing": "is missing",
    "model_type": NO_OBJECT,
    "dict_type": NO_OBJECT,
    "string_type": "should be a string",
    "list_type": "should be a list",
    "too_short": "has no object in it",
}


def json_object(body: bytes) -> dict[str, object]:
    """The object that the bytes spell, its strings fit for both databases.

    pydantic-core's parser stops at 200 levels and refuses bad UTF-8, a byte order mark and lone surrogates. It lets NUL
    through, which PostgreSQL's text does not take, so NUL becomes U+FFFD.
    Raises NotUnderstood.
    """
    try:
        tree = from_json(body, allow_inf_nan=False)
    except ValueError as exc:
        raise NotUnderstood(f"Invalid JSON: {exc}") from exc
    if not isinstance(tree, dict):
        raise NotUnderstood(NO_OBJECT)
    # A raw NUL is not JSON, so it can only have come as this escape.
    return _object_without_nul(tree) if rb"\u0000" in body else tree


def explain(error: ValidationError, *, at: str = "") -> str:
    """Where the first defect is and what was expected there; names of the body's keys, never its values."""
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    path = at + "".join(f"[{step}]" if isinstance(step, int) else f".{_shown(step)}" for step in first["loc"])
    message = WORDS.get(first["type"], first["msg"])
    return f"{path.removeprefix('.')}: {message}" if path else message


def _shown(name: str) -> str:
    if not name.isprintable():
        return "…"
    return name if len(name) <= SHOWN_NAME_LENGTH else f"{name[:SHOWN_NAME_LENGTH]}…"


def _object_without_nul(tree: dict[str, object]) -> dict[str, object]:
    return {name.replace("\x00", REPLACEMENT): _without_nul(value) for name, value in tree.items()}


def _without_nul(value: object) -> object:
    match value:
        case str():
            return value.replace("\x00", REPLACEMENT)
        case dict():
            return _object_without_nul(value)
        case list():
            return [_without_nul(element) for element in value]
        case _:
            return value
