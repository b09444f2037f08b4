"""MLLP's blocks: VT, the message, FS, CR. Bytes in, whole messages out; pure, so every split can be tested.

`mllp` feeds it what the socket brings. A frame ends at FS whether CR follows or not, so that the same bytes make the
same frames however the network cuts them.
"""

from __future__ import annotations

VT, FS, CR = 0x0B, 0x1C, 0x0D
COMMITTED, NOT_COMMITTED = b"\x06", b"\x15"  # the content of release 2's commit blocks
_END = b"\x1c\r"


def framed(message: bytes) -> bytes:
    return b"\x0b" + message + _END


class Framer:
    """Collects frames. `junk` counts bytes outside of frames, `cut` the frames that a new one interrupted.

    Once a frame outgrows `max_bytes`, `oversized` holds its beginning, nothing more is collected, and `over` turns true
    when its end has gone by.
    """

    __slots__ = ("_buffer", "_inside", "_max", "_scanned", "cut", "junk", "over", "oversized")
    HEAD = 4096  # enough of an oversized message to answer it: its MSH

    def __init__(self, max_bytes: int) -> None:
        self._max = max_bytes
        self._buffer = bytearray()
        self._inside = False
        self._scanned = 0
        self.junk = 0
        self.cut = 0
        self.oversized: bytes | None = None
        self.over = False

    @property
    def pending(self) -> int:
        """Bytes of a frame that has begun and not ended."""
        return len(self._buffer) if self._inside else 0

    def feed(self, data: bytes) -> list[bytes]:
        """The messages that `data` completes, in order."""
        if self.oversized is not None:
            self.over = self.over or FS in data
            return []
        if not self._inside and data[:1] == b"\x0b" and 0 < data.find(FS) == len(data) - 2 and data[-1] == CR:
            # One whole frame, as nearly always.
            message = data[1:-2]
            if len(message) <= self._max and VT not in message:
                return [message]
        self._buffer += data
        messages: list[bytes] = []
        while self.oversized is None and (message := self._next()) is not None:
            messages.append(message)
        return messages

    def _next(self) -> bytes | None:
        buffer = self._buffer
        if not self._inside:
            start = buffer.find(VT)
            outside = buffer[: start if start >= 0 else len(buffer)]
            self.junk += len(outside.translate(None, b"\r\n"))  # the CR that ends a frame is no junk
            if start < 0:
                buffer.clear()
                return None
            del buffer[: start + 1]
            self._inside, self._scanned = True, 0
        while True:
            end = buffer.find(FS, self._scanned)
            # A VT inside: the sender gave up on a frame and began the next one.
            again = buffer.find(VT, self._scanned, end if end >= 0 else len(buffer))
            stop = again if again >= 0 else end if end >= 0 else len(buffer)
            if stop > self._max:
                self.oversized, self.over = bytes(buffer[: min(stop, self.HEAD)]), end >= 0
                buffer.clear()
                return None
            if again < 0:
                break
            self.cut += 1
            del buffer[: again + 1]
            self._scanned = 0
        if end < 0:
            self._scanned = len(buffer)
            return None
        message = bytes(buffer[:end])
        del buffer[: end + 1]
        self._inside = False
        return message
