"""Messages between the grader and the sandbox: JSON behind a length of four bytes, on a socket."""

import json
import socket
import struct
from typing import Any

LENGTH = struct.Struct("!I")
LARGEST = 8 * 2**20
"""Bytes. Outputs are cut long before this; a longer message is an attack or an error of ours."""


class Closed(Exception):
    """The other side is gone."""


class TooLarge(Exception):
    """The other side announces more than `LARGEST` bytes."""


def send(channel: socket.socket, message: dict[str, Any]) -> None:
    """Send one message. Raises `Closed`."""
    body = json.dumps(message).encode()
    try:
        channel.sendall(LENGTH.pack(len(body)) + body)
    except OSError:
        raise Closed from None


def _exactly(channel: socket.socket, count: int) -> bytes:
    parts = bytearray()
    while len(parts) < count:
        try:
            part = channel.recv(min(count - len(parts), 2**16))
        except TimeoutError:
            raise
        except OSError:
            raise Closed from None
        if not part:
            raise Closed
        parts += part
    return bytes(parts)


def receive(channel: socket.socket) -> Any:
    """The next message. Raises `Closed`, `TooLarge`, `TimeoutError`, `ValueError` (not JSON)."""
    (count,) = LENGTH.unpack(_exactly(channel, LENGTH.size))
    if count > LARGEST:
        raise TooLarge(count)
    return json.loads(_exactly(channel, count))
