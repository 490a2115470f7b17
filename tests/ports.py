"""Ports for servers of tests."""

import contextlib
import random
import socket

_CHANCE = random.SystemRandom()
"""Not the shared one: tests that run beside each other may have seeded it alike."""


def free_port() -> int:
    """A port of loopback that nobody listens on, below those that connections get by themselves.

    One of theirs may be taken by the time that a server binds it.
    """
    while True:
        port = _CHANCE.randrange(10_000, 32_000)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
