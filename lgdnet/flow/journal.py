"""Where a flow shard grows: one record per finished video, appended, each with its checksum.

HDF5 does not survive being killed while it grows. A journal that is opened again keeps its whole records and
drops a torn last one, so a killed extraction loses only the videos in hand. Records come in the order in which
the videos are finished; `writer` brings them into the order of the manifest.

A record: 16 bytes (magic, length of the head, length of the payload), the head as JSON, the payload (JPEGs one
after the other), 4 bytes of checksum over head and payload.
"""

import json
import os
import struct
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

from lgdnet.artefact import open_alone
from lgdnet.flow.errors import FlowError
from lgdnet.log import warn

FRAME = struct.Struct("<4sIQ")
MAGIC = b"flow"


class Record(NamedTuple):
    """One video on disk: its head, and where its JPEGs lie in the journal."""

    head: dict[str, Any]
    start: int  # bytes
    length: int  # bytes


class FlowJournal:
    """Records behind a header line; only a journal with an equal header is continued.

    `records` maps the row of each finished video to its record. One process writes at a time: a second one gets
    a FlowError.
    """

    def __init__(self, path: Path, header: Mapping[str, Any]) -> None:
        self.path = path
        self.records: dict[int, Record] = {}
        self._file = open_alone(path, FlowError)
        line = json.dumps(header, sort_keys=True).encode() + b"\n"
        found = self._file.readline()
        if found == line:
            self._keep_whole_records()
        else:
            if found.endswith(b"\n"):
                warn(f"{path}: begun with other settings or videos; starting it again")
            self._file.seek(0)
            self._file.truncate()
            self._file.write(line)
            self._file.flush()

    def _keep_whole_records(self) -> None:
        end = self._file.tell()
        while (record := self._next_record()) is not None:
            self.records[record.head["row"]] = record
            end = self._file.tell()
        self._file.seek(end)
        self._file.truncate()

    def _next_record(self) -> Record | None:
        frame = self._file.read(FRAME.size)
        if len(frame) < FRAME.size:
            return None
        magic, head_length, length = FRAME.unpack(frame)
        left = os.fstat(self._file.fileno()).st_size - self._file.tell()
        if magic != MAGIC or head_length + length + 4 > left:
            return None
        head = self._file.read(head_length)
        start = self._file.tell()
        payload = self._file.read(length)
        if zlib.crc32(payload, zlib.crc32(head)) != int.from_bytes(self._file.read(4), "little"):
            return None
        return Record(json.loads(head), start, length)

    def append(self, head: Mapping[str, Any], parts: Sequence[bytes]) -> None:
        """One video; `head` has its "row". After a kill of the process it is on disk, or gone as a whole."""
        text, payload = json.dumps(head).encode(), b"".join(parts)
        self._file.seek(0, os.SEEK_END)
        start = self._file.tell() + FRAME.size + len(text)
        crc = zlib.crc32(payload, zlib.crc32(text)).to_bytes(4, "little")
        self._file.write(FRAME.pack(MAGIC, len(text), len(payload)) + text + payload + crc)
        self._file.flush()
        self.records[head["row"]] = Record(dict(head), start, len(payload))

    def payloads(self, rows: Sequence[int]) -> Iterator[bytes]:
        """The JPEGs of each of `rows`, as one run of bytes."""
        for row in rows:
            record = self.records[row]
            self._file.seek(record.start)
            yield self._file.read(record.length)

    def close(self) -> None:
        self._file.close()

    def __enter__(self) -> "FlowJournal":
        return self

    def __exit__(self, *error: type[BaseException] | BaseException | TracebackType | None) -> None:
        self.close()
