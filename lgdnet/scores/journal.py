"""Append-only records that survive being killed at any byte.

HDF5 does not: a process killed while it appends leaves a file that cannot be opened, or rows of zeros. So a
shard grows in a journal, a header line and then records of one fixed size, each with its checksum, and
becomes HDF5 at the end. A journal that is opened again keeps its whole records and drops a torn last one.
"""

import json
import os
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from lgdnet.artefact import open_alone
from lgdnet.log import warn
from lgdnet.scores.errors import ScoresError

FORMAT = "lgdnet-journal-1"


class Journal:
    """Records of one numpy dtype behind a header; only a journal with an equal header is continued.

    `num_records` are on disk and intact. One process writes at a time: a second one gets a `ScoresError`.
    """

    def __init__(self, path: Path, header: Mapping[str, Any]) -> None:
        self.path = path
        self._file = open_alone(path, ScoresError)
        self.header: dict[str, Any] = {"format": FORMAT, **header}
        self.record: np.dtype | None = None
        self.num_records = 0
        found = self._read_header()
        if found is not None and {key: found.get(key) for key in self.header} == self.header:
            self.header = found
            self.record = _dtype(found["fields"])
            self._keep_whole_records()
        else:
            if found is not None:
                warn(f"{path}: begun with other settings, videos or weights; starting it again")
            self._file.truncate(0)

    def _read_header(self) -> dict[str, Any] | None:
        """The header, with `data_start` (bytes) remembered, or None where there is no whole one."""
        self._file.seek(0)
        line = self._file.readline()
        try:
            header = json.loads(line) if line.endswith(b"\n") else None
        except ValueError:
            return None
        self._data_start = len(line)
        return header if isinstance(header, dict) and "fields" in header else None

    def begin(self, fields: list[tuple[str, str, list[int]]]) -> None:
        """Write the header of a new journal: name, dtype and shape of each field of a record."""
        self.header["fields"] = fields
        line = json.dumps(self.header).encode() + b"\n"
        self._file.seek(0)
        self._file.write(line)
        self._data_start = len(line)
        self.record = _dtype(fields)

    def restart(self, fields: list[tuple[str, str, list[int]]]) -> None:
        """Drop every record and begin again with other fields."""
        self._file.truncate(0)
        self.num_records = 0
        self.begin(fields)

    def _keep_whole_records(self) -> None:
        assert self.record is not None
        self._file.seek(self._data_start)
        while len(bytes_read := self._file.read(self.record.itemsize)) == self.record.itemsize:
            if zlib.crc32(bytes_read[:-4]) != int.from_bytes(bytes_read[-4:], "little"):
                break
            self.num_records += 1
        self._file.truncate(self._data_start + self.num_records * self.record.itemsize)

    def append(self, values: Mapping[str, Any]) -> None:
        """One record. After a kill of the process it is on disk; after a power cut its checksum tells."""
        assert self.record is not None, "begin() first"
        row = np.zeros((), self.record)
        for name, value in values.items():
            row[name] = value
        payload = row.tobytes()[:-4]
        self._file.seek(0, os.SEEK_END)
        self._file.write(payload + zlib.crc32(payload).to_bytes(4, "little"))
        self._file.flush()
        self.num_records += 1

    def blocks(self, size: int) -> Iterator[np.ndarray]:
        """All records, up to `size` at a time: (records,) of the structured dtype."""
        assert self.record is not None
        self._file.seek(self._data_start)
        for start in range(0, self.num_records, size):
            num_bytes = min(size, self.num_records - start) * self.record.itemsize
            yield np.frombuffer(self._file.read(num_bytes), self.record)

    def close(self) -> None:
        self._file.close()

    def __enter__(self) -> "Journal":
        return self

    def __exit__(self, *error: type[BaseException] | BaseException | TracebackType | None) -> None:
        self.close()


def _dtype(fields: list[tuple[str, str, list[int]]]) -> np.dtype:
    return np.dtype([(name, kind, tuple(shape)) for name, kind, shape in fields] + [("crc", "<u4", ())])
