"""Who is taken for this machine, when no token proves more."""

import pytest

from router.core.peers import is_local, names_no_stranger


@pytest.mark.parametrize(
    ("peer", "header", "local"),
    [
        pytest.param(("127.0.0.1", 40000), b"user-agent", True, id="loopback"),
        pytest.param(("127.8.9.1", 40000), b"user-agent", True, id="all of 127/8"),
        pytest.param(("::1", 40000), b"user-agent", True, id="IPv6"),
        pytest.param(("::ffff:127.0.0.1", 40000), b"user-agent", True, id="IPv4 in IPv6"),
        pytest.param(("10.0.0.7", 40000), b"user-agent", False, id="another machine"),
        pytest.param(("::ffff:10.0.0.7", 40000), b"user-agent", False, id="another machine, IPv4 in IPv6"),
        pytest.param(None, b"user-agent", False, id="unknown"),
        pytest.param(("127.0.0.1", 40000), b"x-forwarded-for", False, id="through a proxy"),
        pytest.param(("127.0.0.1", 40000), b"forwarded", False, id="through a proxy that follows the RFC"),
        pytest.param(("127.0.0.1", 40000), b"origin", False, id="by a page in a browser"),
    ],
)
def test_is_local(peer: tuple[str, int] | None, header: bytes, local: bool) -> None:
    """Only a program on this machine that asks by itself; a proxy or a page in a browser speaks for others."""
    assert is_local(peer, [(b"host", b"127.0.0.1:9095"), (header, b"x")]) is local


@pytest.mark.parametrize(
    ("hosts", "known"),
    [
        pytest.param([b"127.0.0.1:9095"], True, id="address"),
        pytest.param([b"127.0.0.1"], True, id="without a port"),
        pytest.param([b"LocalHost:9095"], True, id="localhost"),
        pytest.param([b"[::1]:9095"], True, id="IPv6"),
        pytest.param([b"10.0.0.5:9095"], True, id="any address: no page can have it for its name"),
        pytest.param([], True, id="no browser"),
        pytest.param([b"evil.example:9095"], False, id="a name"),
        pytest.param([b"localhost.evil.example"], False, id="a name that begins like ours"),
        pytest.param([b"127.0.0.1.evil.example"], False, id="a name that begins like an address"),
        pytest.param([b"evil.example:9095", b"127.0.0.1:9095"], False, id="two of them"),
        pytest.param([b"127.0.0.1:9095@evil.example"], False, id="a user"),
        pytest.param([b""], False, id="empty"),
        pytest.param([b"[evil]"], False, id="a name in brackets"),
        pytest.param([b"\xff\xfe:1"], False, id="bytes"),
    ],
)
def test_names_no_stranger(hosts: list[bytes], known: bool) -> None:
    """A name may be a page's, which somebody else has pointed to this machine."""
    assert names_no_stranger([(b"accept", b"*/*"), *((b"host", host) for host in hosts)]) is known
