"""What a container's outermost lengths promise, compared with the size of the file: cut-off files show here.

Read from the first bytes of each element; nothing is decoded.
"""

from pathlib import Path
from typing import BinaryIO

MAX_BOXES = 4096  # a fragmented mp4 has many; enough to see where it ends
EBML, SEGMENT = b"\x1a\x45\xdf\xa3", b"\x18\x53\x80\x67"


def missing_bytes(path: Path) -> int:
    """Bytes that mp4, Matroska or AVI promise beyond the end of the file; 0 for other containers."""
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(12)
        if head[4:8] == b"ftyp":
            _, end = mp4_boxes(file, size)
        elif head[:4] == EBML:
            end = matroska_end(file, size)
        elif head[:4] == b"RIFF":
            end = 8 + int.from_bytes(head[4:8], "little")
        else:
            return 0
    return max(end - size, 0)


def lacks_mp4_index(path: Path) -> bool:
    """True for an mp4 or mov without `moov`: the writer stopped, or the file was cut, before it."""
    size = path.stat().st_size
    with path.open("rb") as file:
        boxes, end = mp4_boxes(file, size)
    whole = boxes if end <= size else boxes[:-1]
    return boxes[:1] == [b"ftyp"] and b"moov" not in whole


def mp4_boxes(file: BinaryIO, size: int) -> tuple[list[bytes], int]:
    """Kinds of the top-level boxes up to the end of the file, and where the last one says it ends."""
    position = 0
    kinds: list[bytes] = []
    while position + 8 <= size and len(kinds) < MAX_BOXES:
        file.seek(position)
        header = file.read(16)
        length = int.from_bytes(header[:4], "big")
        if length == 1:
            length = int.from_bytes(header[8:16], "big")
        kinds.append(header[4:8])
        if length < 8:  # 0: up to the end of the file; else nonsense
            return kinds, size
        position += length
    return kinds, position


def matroska_end(file: BinaryIO, size: int) -> int:
    """Where the segment ends; the size of the file where its length is left open, as in a live recording."""
    position = 0
    for _ in range(8):
        file.seek(position)
        head = file.read(16)
        if len(head) < 5:
            return size
        id_length = 9 - head[0].bit_length()
        length_length = 9 - head[id_length].bit_length() if head[id_length] else 9
        raw = int.from_bytes(head[id_length : id_length + length_length], "big")
        value = raw & ((1 << 7 * length_length) - 1)
        if value == (1 << 7 * length_length) - 1 or length_length > 8:
            return size
        position += id_length + length_length + value
        if head[:4] == SEGMENT:
            return position
    return size
