"""Addresses for servers that listen on TCP, and that must be able to come back on the same one."""

import random
import socket

HOST = "127.0.0.1"

_RANGE = range(20_000, 30_000)
"""Below the ports that systems give to clients.

While a server is down its port belongs to nobody. Were it one for clients, any connection of the
machine might get it, and a client that tries again and again to reach the server might end up
connected to itself.
"""


def free_port() -> int:
    """Return a port that nobody listens on now. Somebody may take it: be ready to try another."""
    while True:
        port = random.choice(_RANGE)
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((HOST, port))
            except OSError:
                continue
            return port
