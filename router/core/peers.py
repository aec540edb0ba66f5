"""Who asks, as far as a connection tells. Without a token, that it is this machine is all the proof there is."""

import ipaddress
from collections.abc import Iterable
from functools import lru_cache

# A proxy on this machine makes the whole world look local, and so does a page of anybody's in a browser on it.
_FROM_ELSEWHERE = frozenset({b"forwarded", b"x-forwarded-for", b"x-real-ip", b"origin"})


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
