"""What the answers of `/api/v1/` have in common: errors, times, and the parameters of lists."""

from datetime import datetime
from typing import Final

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

PAGE: Final = 100
LARGEST_PAGE: Final = 1000
WRONG_LIMIT: Final = f"limit is a number from 1 to {LARGEST_PAGE}"


def problem(code: int, error: str) -> Response:
    return JSONResponse({"error": error}, status_code=code)


def rfc3339(instant: datetime) -> str:
    return instant.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def rfc3339_or_none(instant: datetime | None) -> str | None:
    return None if instant is None else rfc3339(instant)


def limit_of(request: Request) -> int | None:
    """How many entries a list should have; None where that is no number that it can."""
    text = request.query_params.get("limit", str(PAGE))
    # int() raises for more than 4,300 digits.
    if not (text.isascii() and text.isdigit() and len(text) <= len(str(LARGEST_PAGE))):
        return None
    return limit if 1 <= (limit := int(text)) <= LARGEST_PAGE else None
