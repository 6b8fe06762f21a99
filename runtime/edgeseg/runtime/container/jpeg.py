"""JPEG: segments and scans (ITU-T T.81, annex B), and what can be told without decoding a scan."""

from __future__ import annotations

import re
from dataclasses import dataclass

from edgeseg.runtime.container.content import Content, DamagedError, truncated
from edgeseg.runtime.container.exif import orientation

SIGNATURE = b"\xff\xd8"
_SOI, _EOI, _SOS, _DHT, _DQT, _DRI, _APP1 = 0xD8, 0xD9, 0xDA, 0xC4, 0xDB, 0xDD, 0xE1
_RESTARTS = range(0xD0, 0xD8)
_FRAMES = tuple(code for code in range(0xC0, 0xD0) if code not in (0xC4, 0xC8, 0xCC))  # SOF0 to SOF15
_SEQUENTIAL, _PROGRESSIVE = (0xC0, 0xC1), 0xC2  # with Huffman codes; the rest is arithmetic or lossless
_EXIF = b"Exif\x00\x00"
# In a scan 0xFF is data where 0x00 follows, and a filler before another 0xFF.
_MARKER, _MARKER_BUT_RESTARTS = re.compile(rb"\xff[^\x00\xff]"), re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")
_RESTART = re.compile(rb"\xff[\xd0-\xd7]")
# A run of this many zero bytes is no picture where the code of all zeros says that a coefficient is not 0.
_ZEROS = bytes(64)
# Each scan may be coded in next to nothing and costs a walk over all pixels; nobody writes more than some twenty.
_MOST_SCANS, _MOST_TABLES = 100, 1 << 16


@dataclass(frozen=True)
class Scan:
    """One scan: positions in the file of its header (the SOS marker), its entropy-coded data and their end."""

    header: int
    begin: int
    end: int


@dataclass(frozen=True)
class Layout:
    """Where the parts of a JPEG lie.

    Attributes:
        frame: Position of the frame header (the SOF marker).
        coding: Its code: 0xC0 and 0xC1 are sequential, 0xC2 is progressive, others are rare.
        tables: Begin and end of each segment of tables before the first scan.
        scans: The scans of the first picture; what follows its end marker is not looked at.
        interval: MCUs between restart markers, 0 without.
        mcu_px: (height, width) of an MCU, the unit in which a scan of all channels is coded [px].
        mcus: How many there are.
        restarts: Positions of the restart markers.
    """

    frame: int
    coding: int
    tables: tuple[tuple[int, int], ...]
    scans: tuple[Scan, ...]
    interval: int
    mcu_px: tuple[int, int]
    mcus: int
    restarts: tuple[int, ...]

    @property
    def simple(self) -> bool:
        """Whether all pixels are in one Huffman-coded scan, as cameras write them."""
        return self.coding in _SEQUENTIAL and len(self.scans) == 1


class _Reader:
    """Walks the segments of one file."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.frame = self.interval = 0
        self.turned = 1
        self.tables: list[tuple[int, int]] = []
        self.scans: list[Scan] = []
        self.zeros_are_blank: list[bool] = []  # one per table of AC codes

    def read(self) -> None:
        """To the end marker of the first picture."""
        position = len(SIGNATURE)
        while True:
            position = self._skip_fill(position)
            code = self.data[position + 1]
            if code == _EOI:
                break
            length = int.from_bytes(self.data[position + 2 : position + 4], "big")
            end = position + 2 + length
            if length < 2 or end > len(self.data) - 2:
                raise truncated()
            if code == _SOS:
                end = self._scan(position, end)
            else:
                self._segment(code, position, end)
            position = end
        if not self.frame or not self.scans:
            raise truncated()

    def _skip_fill(self, position: int) -> int:
        """The position of the marker's last 0xFF: any number of them may stand before its code."""
        data = self.data
        while position + 1 < len(data) and data[position] == data[position + 1] == 0xFF:
            position += 1
        if position + 1 >= len(data):
            raise truncated()
        if data[position] != 0xFF or data[position + 1] in (0, _SOI, *_RESTARTS):
            raise DamagedError(f"damaged, no marker at byte {position}")
        return position

    def _segment(self, code: int, position: int, end: int) -> None:
        content = self.data[position + 4 : end]
        if code in _FRAMES:
            self.frame = position
        elif code == _DRI:
            self.interval = int.from_bytes(content[:2], "big")
        elif code == _APP1 and content.startswith(_EXIF):
            self.turned = orientation(content)
        elif code == _DHT:
            self._codes_of(content)
        if code in (_DHT, _DQT) and not self.scans:
            self.tables.append((position, end))
            if sum(end - begin for begin, end in self.tables) > _MOST_TABLES:
                raise DamagedError(f"damaged, more than {_MOST_TABLES} bytes of tables")

    def _codes_of(self, content: bytes) -> None:
        """Notes for each table of AC codes whether its first symbol, coded by zeros alone, ends a block."""
        while len(content) > 17:
            if content[0] & 0x10:
                self.zeros_are_blank.append(content[17] == 0)
            content = content[17 + sum(content[1:17]) :]

    def _scan(self, header: int, begin: int) -> int:
        """Find the end of a scan: the next marker, restarts aside where there are any."""
        found = (_MARKER if self.interval == 0 else _MARKER_BUT_RESTARTS).search(self.data, begin)
        if found is None:
            raise truncated()
        end = marker = found.start()
        while end > begin and self.data[end - 1] == 0xFF:
            end -= 1
        if self._blanked(begin, end):
            raise DamagedError("damaged, a part of its pixels is blanked")
        self.scans.append(Scan(header, begin, end))
        if len(self.scans) > _MOST_SCANS:
            raise DamagedError(f"damaged, more than {_MOST_SCANS} scans")
        return marker

    def _blanked(self, begin: int, end: int) -> bool:
        # A progressive scan may be zeros alone: it adds nothing to what earlier ones said.
        sequential = self.data[self.frame + 1] in _SEQUENTIAL
        # Without tables the usual ones hold, in which zeros are not blank.
        blank = all(self.zeros_are_blank) if self.zeros_are_blank else False
        return sequential and not blank and self.data.find(_ZEROS, begin, end) >= 0


def look(data: bytes) -> Content:
    """Read the segments of the first picture and check what can be told without decoding it.

    A second picture after the first (a preview, a gain map, the other eye of a stereo camera) is left alone: every
    reader takes the first.

    Raises:
        DamagedError: The file ends early, a marker or scan is missing, or a part is blanked.
    """
    reader = _Reader(data)
    reader.read()
    frame = reader.frame
    components = _entries(data, frame, 9, 8, 3)
    height, width = (int.from_bytes(data[at : at + 2], "big") for at in (frame + 5, frame + 7))
    factors = data[frame + 11 : frame + 10 + 3 * components : 3]
    if not height or not width or not factors or not all(one >> 4 and one & 15 for one in factors):
        raise DamagedError(f"damaged, its header says {width}x{height} pixels in {components} channels")
    across, down = max(one >> 4 for one in factors), max(one & 15 for one in factors)
    coding = data[frame + 1]
    mcu_px = (8, 8) if components == 1 else (8 * down, 8 * across)
    mcus = -(-height // mcu_px[0]) * -(-width // mcu_px[1])
    first = reader.scans[0]
    if coding in (*_SEQUENTIAL, _PROGRESSIVE) and (first.end - first.begin) * 8 < mcus:
        raise DamagedError("damaged, its pixels end early")  # each takes a bit at least
    restarts: tuple[int, ...] = ()
    if coding in _SEQUENTIAL and len(reader.scans) == 1:
        restarts = _checked_restarts(data, reader.scans[0], reader.interval, mcus)
    elif coding in (*_SEQUENTIAL, _PROGRESSIVE):
        _check_scans(data, reader.scans, data[frame + 10 : frame + 10 + 3 * components : 3])
    return Content(
        container="JPEG",
        size_px=(height, width),
        bits=data[frame + 4],
        loss="JPEG-coded",
        inks="CMYK" if components == 4 else None,
        orientation=reader.turned,
        jpeg=Layout(frame, coding, tuple(reader.tables), tuple(reader.scans), reader.interval, mcu_px, mcus, restarts),
    )


def _entries(data: bytes, segment: int, at: int, fixed: int, each: int) -> int:
    """How many entries a segment says at `at` that it has: of `each` bytes, beside `fixed` ones."""
    length, n = int.from_bytes(data[segment + 2 : segment + 4], "big"), data[segment + at]
    if length < fixed + n * each:
        raise truncated()
    return n


def _checked_restarts(data: bytes, scan: Scan, interval: int, mcus: int) -> tuple[int, ...]:
    """Positions of the restart markers, which count from 0 to 7 again and again, after each interval but the last."""
    found = [match.start() for match in _RESTART.finditer(data, scan.begin, scan.end)] if interval else []
    expected = (mcus - 1) // interval if interval else 0
    if [data[at + 1] for at in found] != [_RESTARTS[k % 8] for k in range(expected)]:
        raise DamagedError(f"damaged, {len(found)} restart markers where {expected} in turn belong")
    return tuple(found)


def _check_scans(data: bytes, scans: list[Scan], components: bytes) -> None:
    """Several scans are the whole picture when every coefficient of every channel was sent to its last bit."""
    missing = {(channel, k) for channel in components for k in range(64)}
    for scan in scans:
        n = _entries(data, scan.header, 4, 6, 2)
        channels = data[scan.header + 5 : scan.header + 5 + 2 * n : 2]
        first, last, bits = data[scan.header + 5 + 2 * n : scan.header + 8 + 2 * n]
        if not bits & 15:
            missing -= {(channel, k) for channel in channels for k in range(first, last + 1)}
    if missing:
        raise DamagedError("truncated, its last scans are missing", "truncated")
