"""Who is taken for this machine, when no token proves more."""

import pytest

from router.core.peers import is_local


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
