"""Length of a video file by its own header, to tell a truncated file from a short one."""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

EBML, SEGMENT = b"\x1a\x45\xdf\xa3", b"\x18\x53\x80\x67"  # of Matroska
BOXES = {b"ftyp", b"moov", b"moof", b"mdat", b"free", b"skip", b"wide", b"sidx", b"uuid", b"mfra"}


def check_length(path: Path) -> None:
    """Check that a file is as long as its MP4 boxes, AVI header or Matroska segment say.

    Raises:
        ValueError: the file is shorter.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        declared = _declared_length(file, size)
    if declared > size:
        raise ValueError(f"truncated: {size} of {declared} bytes")


def _declared_length(file: BinaryIO, size: int) -> int:
    """Return the length in bytes that the header of an open file declares; 0 if it does not."""
    start = file.read(8)
    if start[:4] == b"RIFF":
        length = int.from_bytes(start[4:], "little")
        return 0 if length in (0, 2**32 - 1) else 8 + length
    if start[:4] == EBML:
        file.seek(4)
        header = _variable_integer(file) or 0
        file.seek(min(size, file.tell() + header))
        segment = _variable_integer(file) if file.read(4) == SEGMENT else None
        return 0 if segment is None else file.tell() + segment
    position, last = 0, b""
    while position < size and start[4:] in BOXES:
        last = start[4:]
        length = int.from_bytes(start[:4], "big")
        if length == 1:
            length = int.from_bytes(file.read(8), "big")
        position = position + length if length >= 8 else size  # 0: until the end
        file.seek(min(position, size))
        start = file.read(8)
    # a truncated header, or that of a fragment whose media data should follow
    return position + 8 if 0 < len(start) < 8 or last == b"moof" else position


def _variable_integer(file: BinaryIO) -> int | None:
    """Read an integer of Matroska, whose leading zero bits are its further bytes; None: unknown."""
    first = int.from_bytes(file.read(1), "big")
    further = 8 - first.bit_length()
    value = (
        int.from_bytes(bytes([first]) + file.read(further), "big") & (1 << 7 * (further + 1)) - 1
    )
    return None if value == (1 << 7 * (further + 1)) - 1 else value
