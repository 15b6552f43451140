"""Cuts a stream of bytes into the messages that MLLP frames in it. No I/O, no text.

Rules (HL7 v2 transport specification, MLLP release 1):
- A message stands between 0x0B and 0x1C 0x0D. However the stream is split, the messages are these.
- A start byte within a frame begins another: what stood before it was broken off by its sender, and
  is counted. A 0x1C without 0x0D behind it ends nothing: it stays in the message, which is no HL7
  then, because no field can hold it.
- Bytes outside frames are passed over; line ends and blanks among them do not count.
- Of a message over the limit the first 64 KiB are kept, so that its header can be answered.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from adapters.feed_bytes import KEPT_RAW_BYTES

START, END = b"\x0b", b"\x1c\r"
CONTROL = b"\x1c"
"""First byte of the end: a message that holds it is none."""
_MARK = re.compile(rb"[\x0b\x1c]")
_BLANK = b" \t\r\n"
_CARRIAGE_RETURN = 13


class Framed(NamedTuple):
    """What stood in one frame.

    Attributes:
        content: the bytes; of a message over the limit only its beginning.
        length: how many there were.
    """

    content: bytes
    length: int

    @property
    def too_long(self) -> bool:
        """Whether `content` is only the beginning."""
        return self.length != len(self.content)


def framed(content: bytes) -> bytes:
    """A message in its frame."""
    return START + content + END


class Framer:
    """The frames of one connection, as its bytes come in. Holds at most one message.

    Attributes:
        outside: bytes that stood outside frames since the last frame ended, without blanks.
        broken: frames that another began before they had ended, so far.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max = max_bytes
        self._content: bytearray | None = None
        self._length = 0
        self._ending = False
        self.outside = self.broken = 0

    @property
    def unfinished(self) -> int | None:
        """Bytes of the frame that has begun and not ended; None: there is none."""
        return None if self._content is None else self._length

    def feed(self, data: bytes) -> list[Framed]:
        """The messages that end in these bytes, in order."""
        found: list[Framed] = []
        at = 0
        while at < len(data):
            if self._content is None:
                at = self._look_for_start(data, at)
            elif self._ending:
                self._ending = False
                if data[at] == _CARRIAGE_RETURN:
                    found.append(Framed(bytes(self._content), self._length))
                    self._content, self.outside = None, 0
                    at += 1
                else:
                    self._take(CONTROL)
            else:
                at = self._read_on(data, at)
        return found

    def _look_for_start(self, data: bytes, at: int) -> int:
        start = data.find(START, at)
        end = len(data) if start < 0 else start
        self.outside += len(data[at:end].translate(None, _BLANK))
        if start >= 0:
            self._begin()
        return end + 1

    def _read_on(self, data: bytes, at: int) -> int:
        mark = _MARK.search(data, at)
        end = mark.start() if mark else len(data)
        self._take(data[at:end])
        if mark and mark.group() == START:
            self.broken += 1
            self._begin()
        elif mark:
            self._ending = True
        return end + 1

    def _begin(self) -> None:
        self._content, self._length, self._ending = bytearray(), 0, False

    def _take(self, data: bytes) -> None:
        """Requires: a frame has begun."""
        content = self._content
        if content is None:
            raise RuntimeError("no frame has begun")
        self._length += len(data)
        if self._length <= self._max:
            content += data
            return
        kept = min(KEPT_RAW_BYTES, self._max)
        content += data[: max(0, kept - len(content))]
        del content[kept:]
