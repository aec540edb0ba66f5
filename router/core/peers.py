"""Who asks, as far as a connection tells. Without a token, that it is this machine is all the proof there is."""

import ipaddress
import re
from collections.abc import Iterable
from functools import lru_cache

# A proxy on this machine makes the whole world look local, and so does a page of anybody's in a browser on it.
_FROM_ELSEWHERE = frozenset({b"forwarded", b"x-forwarded-for", b"x-real-ip", b"origin"})
_HOST = re.compile(r"(?:\[([0-9a-f:.]+)\]|([^:\[\]]+))(?::[0-9]{1,5})?")


@lru_cache(maxsize=1024)
def is_loopback(host: str) -> bool:
    """Also for an IPv4 address inside an IPv6 one. A name is not an address, except localhost."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host == "localhost"
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return (mapped or address).is_loopback


def is_local(peer: tuple[str, int] | None, headers: Iterable[tuple[bytes, bytes]]) -> bool:
    """Whether a program on this machine asks by itself; `headers` as ASGI gives them, names in small letters."""
    return peer is not None and is_loopback(peer[0]) and _FROM_ELSEWHERE.isdisjoint(name for name, _ in headers)


def names_no_stranger(headers: Iterable[tuple[bytes, bytes]]) -> bool:
    """Whether `Host` is an address or localhost, or is not there, as from a program that is no browser.

    A page of anybody's may have its own name point to this machine, and then reads what is answered to that name: a GET
    for its own origin has no `Origin`. It cannot have an address, or localhost, for its name (DNS rebinding).
    """
    return all(_is_no_name(value.decode("latin-1").lower()) for name, value in headers if name == b"host")


def _is_no_name(host: str) -> bool:
    match = _HOST.fullmatch(host)
    if match is None:
        return False
    if match[2] == "localhost":
        return True
    try:
        ipaddress.ip_address(match[1] or match[2])
    except ValueError:
        return False
    return True
