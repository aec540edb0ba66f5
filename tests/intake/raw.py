"""HTTP by hand, for senders that do it wrong."""

import socket
from typing import Final

from tests.intake.server import TOKEN

CUT: Final = 0  # the connection ended without an answer


def head(*lines: str, path: str = "/webhooks/alertmanager", token: str = TOKEN) -> bytes:
    given = [f"POST {path} HTTP/1.1", "Host: router", f"Authorization: Bearer {token}", *lines]
    return "\r\n".join(given).encode() + b"\r\n\r\n"


def chunk(piece: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(piece), piece)


def chunked(*pieces: bytes) -> bytes:
    return b"".join(map(chunk, (*pieces, b"")))


def status_of(connection: socket.socket) -> int:
    """The status of the next answer, which is read to its end; CUT if the connection ended instead."""
    received = b""
    try:
        while b"\r\n\r\n" not in received:
            data = connection.recv(65536)
            if not data:
                return CUT
            received += data
        answer, _, rest = received.partition(b"\r\n\r\n")
        length = next(
            int(line.split(b":")[1]) for line in answer.split(b"\r\n") if line.lower().startswith(b"content-length:")
        )
        while len(rest) < length:
            rest += connection.recv(65536)
        return int(answer.split()[1])
    except ConnectionError:
        return CUT


def is_closed(connection: socket.socket) -> bool:
    """Whether the other side has ended the connection; waits for it."""
    try:
        while connection.recv(65536):
            pass
    except ConnectionError:
        return True
    except TimeoutError:
        return False
    return True
