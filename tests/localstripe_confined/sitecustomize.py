"""Loaded by Python itself when `localstripe` is started with this folder on its path: it listens on loopback only.

localstripe binds to every address of the machine and has no option for another. Standard library only: nothing of ours
runs in that process, and nothing of localstripe in ours.
"""

import socket

_bind = socket.socket.bind


def _loopback(self: socket.socket, address: tuple[str, int]) -> None:
    if self.family is socket.AF_INET6:
        return _bind(self, ("::ffff:127.0.0.1", *address[1:]))
    return _bind(self, ("127.0.0.1", *address[1:]))


socket.socket.bind = _loopback  # type: ignore[method-assign]
