"""HDF5 with a checksum over everything, and its complaints as one line that names the file."""

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path

import h5py
import numpy as np

from lgdnet.scores.errors import ScoresError

# What h5py raises on damage, besides values that do not fit together.
DAMAGE = (OSError, KeyError, RuntimeError, TypeError, AttributeError, ValueError, MemoryError)


def create(path: Path) -> h5py.File:
    """A new file whose metadata has checksums; that of HDF5's oldest format, which h5py writes, has none."""
    return h5py.File(path, "w", libver=("v110", "v110"))


@contextlib.contextmanager
def reading(path: Path, cure: str) -> Iterator[None]:
    """Whatever a damaged file makes h5py raise becomes a `ScoresError` with its name and the `cure`."""
    try:
        yield
    except ScoresError:
        raise
    except DAMAGE as error:
        raise ScoresError(f"{path}: cannot be read ({error or type(error).__name__}). {cure}") from error


def write_array(h5: h5py.File, name: str, values: np.ndarray, rows_per_chunk: int) -> None:
    """An array with checksums; HDF5 has none for empty ones."""
    chunks = (max(1, min(len(values), rows_per_chunk)), *values.shape[1:])
    whole = bool(values.size and values.dtype.itemsize)
    h5.create_dataset(name, data=values, chunks=chunks if whole else None, fletcher32=whole)


def write_text(h5: h5py.File, name: str, texts: np.ndarray | list[str]) -> None:
    """(N,) str as UTF-8."""
    write_array(h5, name, np.char.encode(np.asarray(texts, dtype=str), "utf-8"), 4096)


def read_text(h5: h5py.File, name: str) -> np.ndarray:
    """(N,) str as `write_text` stored them."""
    stored = h5[name][:]
    return np.char.decode(stored, "utf-8") if len(stored) else np.zeros(0, dtype=str)


def write_attributes(h5: h5py.File, attributes: Mapping[str, str | int]) -> None:
    """Texts at a fixed length: those of h5py's own kind lie in a heap without a checksum."""
    for name, value in attributes.items():
        h5.attrs[name] = np.bytes_(value.encode()) if isinstance(value, str) else value


def read_attribute(h5: h5py.File, name: str, default: str | None = None) -> str:
    """A text, of either kind; a KeyError where it is missing and has no default."""
    value = h5.attrs[name] if default is None else h5.attrs.get(name, default)
    return value.decode() if isinstance(value, bytes) else str(value)
