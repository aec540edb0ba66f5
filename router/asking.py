"""Asks a running router over HTTP, for the commands that need one.

No redirect is followed and no proxy of the environment is used: a token goes to the address that was named, and nowhere
else.
"""

import http.client
import json
import ssl
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from enum import StrEnum
from typing import Any, Final
from urllib.parse import SplitResult, urlencode, urlsplit

import click

from router.config import secret
from router.core.errors import CannotStart, NotAnswered
from router.printing import print_text

Json = dict[str, Any]  # Any: what a router answered

NO: Final = 1
BAD_INPUT: Final = 2
TIMEOUT_S: Final = 10.0
LARGEST_ANSWER: Final = 32 * 1024 * 1024
_LONGEST_ERROR: Final = 500  # characters


class TokenKind(StrEnum):
    """Which of a router's tokens a request is made with: the variable that holds it."""

    ADMIN = "ROUTER_ADMIN_TOKEN"
    INTAKE = "ROUTER_INTAKE_TOKENS"

    @property
    def words(self) -> str:
        return f"{self.name.lower()} token"


class RunningRouter:
    """The router at `url`; `token` is one of its tokens. Routers on this machine do not ask for the admin token."""

    def __init__(
        self, url: str, *, token: str | None, kind: TokenKind = TokenKind.ADMIN, timeout_s: float = TIMEOUT_S
    ) -> None:
        """`timeout_s` is for each step: to connect, and to wait for bytes. Raises NotAnswered for a wrong address."""
        self._at = _parts(url)
        self._timeout_s = timeout_s
        self._name = f"{self._at.scheme}://{self._at.netloc}{self._at.path.rstrip('/')}"
        self._token = token
        self._kind = kind

    def get(self, path: str, parameters: Mapping[str, str | int | None] | None = None) -> Json:
        """The answer to `GET path`; parameters that are None are left out. Raises NotAnswered."""
        given = {name: value for name, value in (parameters or {}).items() if value is not None}
        query = urlencode(given, errors="replace")  # an argument may hold bytes that are no text
        return self._ask("GET", f"{path}?{query}" if query else path)

    def post(self, path: str, question: Json) -> Json:
        """The answer to `POST path` with a body of JSON. Raises NotAnswered."""
        return self._ask("POST", path, json.dumps(question).encode())

    def _ask(self, method: str, path: str, body: bytes | None = None) -> Json:
        headers: dict[str, str | bytes] = {"Accept": "application/json"}
        if self._token is not None:
            headers["Authorization"] = f"Bearer {self._token}".encode()  # http.client would write Latin-1, or refuse
        if body is not None:
            headers["Content-Type"] = "application/json"
        connection = self._connection()
        try:
            connection.request(method, self._at.path.rstrip("/") + path, body=body, headers=headers)
            with connection.getresponse() as response:
                answer = response.read(LARGEST_ANSWER + 1)
                if response.length and len(answer) <= LARGEST_ANSWER:  # read(n) takes what comes; read() alone raises
                    raise http.client.IncompleteRead(answer, response.length)
        except TimeoutError as exc:
            raise NotAnswered(f"the router at {self._name} did not answer within {self._timeout_s:g} s") from exc
        except ssl.SSLError as exc:
            raise NotAnswered(f"the router at {self._name} cannot be trusted: {exc.reason or exc}") from exc
        except (OSError, UnicodeError, http.client.HTTPException) as exc:
            why = getattr(exc, "strerror", None) or str(exc) or type(exc).__name__
            raise NotAnswered(
                f"no router answers at {self._name}: {why}. Start it, or name another with --url or ROUTER_URL"
            ) from exc
        finally:
            connection.close()
        return self._understood(response.status, answer)

    def _connection(self) -> http.client.HTTPConnection:
        kind = http.client.HTTPSConnection if self._at.scheme == "https" else http.client.HTTPConnection
        return kind(self._at.hostname or "", self._at.port, timeout=self._timeout_s)

    def _understood(self, status: int, body: bytes) -> Json:
        if len(body) > LARGEST_ANSWER:
            raise NotAnswered(f"the router at {self._name} answered more than {LARGEST_ANSWER // 1024**2} MiB")
        try:
            answer = json.loads(body)
        except (ValueError, RecursionError):
            answer = None
        if status == http.HTTPStatus.OK and isinstance(answer, dict):
            return answer
        told = answer.get("error") if isinstance(answer, dict) else None
        if status == http.HTTPStatus.UNAUTHORIZED:
            wrong = f"refuses this {self._kind.words}" if self._token else f"wants its {self._kind.words}"
            told = f"it {wrong}: set {self._kind} or {self._kind}_FILE"
        elif not isinstance(told, str):
            told = f"status {status}, which no router answers here: is it another program, or another version?"
        raise NotAnswered(f"the router at {self._name} says no: {told[:_LONGEST_ERROR]}", status=status)


def running_router(url: str, environ: Mapping[str, str], *, timeout_s: float = TIMEOUT_S) -> RunningRouter:
    """The router at `url`, asked with the admin token of `environ`. Raises NotAnswered or CannotStart."""
    return RunningRouter(url, token=secret(TokenKind.ADMIN, environ), timeout_s=timeout_s)


@contextmanager
def failures_told(context: click.Context, *, says_no: Collection[int] = (http.HTTPStatus.NOT_FOUND,)) -> Iterator[None]:
    """What the router does not answer is said, and decides the exit code. `says_no`: statuses that answer with no."""
    try:
        yield
    except (NotAnswered, CannotStart) as exc:
        print_text(f"router: {exc}", err=True)
        context.exit(NO if isinstance(exc, NotAnswered) and exc.status in says_no else BAD_INPUT)


def _parts(url: str) -> SplitResult:
    wrong = "is not an address of a router. Write http://127.0.0.1:9095"
    if "@" in url:  # what stands before it may be a password, and is not repeated here, whatever else is wrong
        raise NotAnswered("the address of the router holds a name or a password. The admin token is ROUTER_ADMIN_TOKEN")
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError as exc:
        raise NotAnswered(f"{url!r} {wrong}") from exc
    if not usable or parts.query or parts.fragment or not url.isprintable() or " " in url:
        raise NotAnswered(f"{url!r} {wrong}")
    return parts
