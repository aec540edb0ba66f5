"""Who may send: bearer tokens, named by who holds them."""

import base64
import binascii
import hashlib
import hmac
import re
from dataclasses import dataclass
from typing import Self

from router.core.errors import CannotStart
from router.core.model import Source

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]*")
_SEPARATOR = re.compile(r"[,\r\n]")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Token:
    name: str
    digest: bytes


class IntakeTokens:
    """The tokens of ROUTER_INTAKE_TOKENS; false if there is none.

    A name that is a webhook source opens that source's path only; any other name is a sender that may use every path.
    """

    def __init__(self, tokens: tuple[_Token, ...] = ()) -> None:
        self._tokens = tokens

    @classmethod
    def parse(cls, text: str) -> Self:
        """Entries `source:token`, separated by commas or lines. Raises CannotStart, which never shows a token."""
        return cls(
            tuple(_Token(name=name, digest=hashlib.sha256(token.encode()).digest()) for name, token in _entries(text))
        )

    def __bool__(self) -> bool:
        return bool(self._tokens)

    def holder(self, authorization: bytes, source: Source) -> str | None:
        """The name of who may send to this source with this Authorization header. None: nobody."""
        secret = _secret(authorization)
        if not secret:
            return None
        # Digests have one length and are bytes: nothing is learnt from the time, and no character raises.
        digest = hashlib.sha256(secret).digest()
        found = None
        for token in self._tokens:
            if hmac.compare_digest(token.digest, digest) and _opens(token.name, source):
                found = token.name
        return found


_SOURCES = frozenset(source.value for source in Source)


def token_for(source: Source, text: str) -> str | None:
    """The first token of ROUTER_INTAKE_TOKENS that opens this source's path. Raises CannotStart, as `parse`."""
    return next((token for name, token in _entries(text) if _opens(name, source)), None)


def _opens(name: str, source: Source) -> bool:
    return name == source or name not in _SOURCES


def _entries(text: str) -> list[tuple[str, str]]:
    entries = filter(None, (entry.strip() for entry in _SEPARATOR.split(text)))
    return [_entry(entry, number) for number, entry in enumerate(entries, start=1)]


def _entry(entry: str, number: int) -> tuple[str, str]:
    name, colon, token = entry.partition(":")
    if not colon or not token or not _NAME.fullmatch(name) or any(character.isspace() for character in token):
        # Not even the name is shown: where the colon is missing, it is the token.
        raise CannotStart(
            f"ROUTER_INTAKE_TOKENS, entry {number}: expected source:token, "
            "the source in small letters and digits, the token without spaces and commas."
        )
    return name, token


def _secret(authorization: bytes) -> bytes:
    """The bearer token, or the password of Basic; empty for anything else."""
    scheme, _, credentials = authorization.partition(b" ")
    credentials = credentials.strip()
    match scheme.lower():
        case b"bearer":
            return credentials
        case b"basic":
            try:
                return base64.b64decode(credentials, validate=True).partition(b":")[2]
            except binascii.Error:
                return b""
        case _:
            return b""
