"""Free ports on loopback, outside the range from which the system takes those of outgoing connections."""

import random
import socket

from schemas.errors import ResourceError

LOOPBACK = "127.0.0.1"
LOWEST = 15_000
HIGHEST = 32_000
"""Linux takes ports of outgoing connections from 32768 on, macOS from 49152 on. A server that listened there
could find its port taken when it is restarted."""


def free_ports(count: int) -> list[int]:
    """Ports of 127.0.0.1 on which nothing listens now; all different.

    Nothing reserves them, so that a start that fails because one was taken meanwhile is to be repeated with
    others.

    Raises:
        ResourceError: No such ports were found.
    """
    chosen: list[int] = []
    held: list[socket.socket] = []
    try:
        for port in random.SystemRandom().sample(range(LOWEST, HIGHEST), 1_000):
            candidate = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
            held.append(candidate)
            try:
                candidate.bind((LOOPBACK, port))
            except OSError:
                continue
            chosen.append(port)
            if len(chosen) == count:
                return chosen
    finally:
        for each in held:
            each.close()
    raise ResourceError(f"no {count} free ports on {LOOPBACK} between {LOWEST} and {HIGHEST}")


def is_listening(port: int, host: str = LOOPBACK) -> bool:
    """Whether something accepts connections there; blocks for 0.2 s at most."""
    try:
        socket.create_connection((host, port), timeout=0.2).close()
    except OSError:
        return False
    return True
