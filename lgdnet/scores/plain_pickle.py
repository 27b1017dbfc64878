"""Arrays, lists, dicts, strings and numbers out of a pickle, without running anything that it names.

A pickle is a program: it imports names and calls them. Here no name is ever imported. The few that NumPy's
arrays are made of are mapped to stand-ins of our own, which check what they are given; any other name is an
error. So the worst that a file can do is to be refused or to be large.
"""

import io
import pickle
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from lgdnet.scores.errors import ScoresError

MAX_BYTES = 4 * 2**30
DTYPE_KINDS = "biufSU"  # no objects, which would be pickles again


class RefusedError(Exception):
    """Something in the pickle is more than plain data."""


def read_plain_pickle(path: Path) -> Any:
    """The data of a pickle file; a `ScoresError` that says what was refused."""
    try:
        if path.stat().st_size > MAX_BYTES:
            raise RefusedError(f"it is larger than {MAX_BYTES // 2**30} GiB")
        return _finished(_PlainUnpickler(io.BytesIO(path.read_bytes())).load())
    except FileNotFoundError:
        raise ScoresError(f"{path}: no such file.") from None
    except RefusedError as refused:
        raise ScoresError(
            f"{path}: {refused}. Only arrays, lists, dicts, strings and numbers are read from a pickle; "
            f"write it as .npz with numpy.savez in the environment that made it."
        ) from None
    except Exception as error:  # a broken pickle may raise anything
        raise ScoresError(f"{path}: not a readable pickle ({type(error).__name__}: {error}).") from None


class _DType:
    """Stand-in for numpy.dtype: takes a type code and a byte order."""

    def __init__(self, code: str, align: bool = False, copy: bool = False) -> None:
        if not isinstance(code, str) or not code or code.lstrip("<>|=")[:1] not in DTYPE_KINDS:
            raise RefusedError(f"it holds an array of type {code!r}")
        self.code = code.lstrip("<>|=")
        self.order = "<"

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        if not isinstance(state, tuple) or len(state) < 2 or state[1] not in ("<", ">", "|", "="):
            raise RefusedError("it holds an array of a structured type")
        if len(state) > 4 and (state[2] is not None or state[3] is not None or state[4] is not None):
            raise RefusedError("it holds an array of a structured type")
        self.order = state[1]

    def numpy(self) -> np.dtype:
        return np.dtype(self.order + self.code)


class _Array:
    """Stand-in for an array under construction: takes shape, type and raw bytes."""

    value: np.ndarray

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _version, shape, dtype, is_fortran, data = state
        if not isinstance(dtype, _DType) or not isinstance(data, bytes | bytearray):
            raise RefusedError("it holds an array that is not plain bytes")
        self.value = _array(data, dtype, shape, "F" if is_fortran else "C")


def _array(data: bytes | bytearray, dtype: _DType, shape: tuple[int, ...], order: str) -> np.ndarray:
    return np.frombuffer(bytes(data), dtype.numpy()).reshape(shape, order=order).copy()  # type: ignore[call-overload]


def _reconstruct(*_: Any) -> _Array:
    return _Array()


def _scalar(dtype: _DType, data: bytes) -> Any:
    return _array(data, dtype, (), "C").item()


def _from_buffer(data: bytes, dtype: _DType, shape: tuple[int, ...], order: str) -> np.ndarray:
    return _array(data, dtype, shape, order)


def _latin1(text: str, encoding: str) -> bytes:
    if encoding != "latin1":
        raise RefusedError(f"it encodes text as {encoding!r}")
    return text.encode("latin1")


def _bytearray(data: Any = b"", *_: Any) -> bytearray:
    if not isinstance(data, bytes | str):
        raise RefusedError("it makes an empty buffer")
    return bytearray(data if isinstance(data, bytes) else data.encode("latin1"))


class _Name:
    """What a name in the pickle stands for: it can be called, and nothing in it can be set."""

    __slots__ = ("_make",)
    _make: Callable[..., Any] | None

    def __init__(self, make: Callable[..., Any] | None) -> None:
        object.__setattr__(self, "_make", make)

    def __setattr__(self, *_: Any) -> None:
        raise RefusedError("it changes what a name means")

    def __call__(self, *arguments: Any) -> Any:
        if self._make is None:
            raise RefusedError("it makes an array in an unknown way")
        return self._make(*arguments)


NAMES: dict[tuple[str, str], _Name] = {
    ("numpy", "dtype"): _Name(_DType),
    ("numpy", "ndarray"): _Name(None),  # only named, as an argument of _reconstruct
    ("_codecs", "encode"): _Name(_latin1),
    ("collections", "OrderedDict"): _Name(OrderedDict),
    ("builtins", "bytearray"): _Name(_bytearray),
}
for core in ("numpy.core", "numpy._core"):
    NAMES[core + ".multiarray", "_reconstruct"] = _Name(_reconstruct)
    NAMES[core + ".multiarray", "scalar"] = _Name(_scalar)
    NAMES[core + ".numeric", "_frombuffer"] = _Name(_from_buffer)


class _PlainUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        try:
            return NAMES[module, name]
        except KeyError:
            raise RefusedError(f"it names {module}.{name}") from None

    def persistent_load(self, pid: Any) -> Any:
        raise RefusedError("it refers to data outside the file")


def _finished(value: Any) -> Any:
    """Replace finished stand-ins by their arrays, and refuse whatever is no plain data."""
    if isinstance(value, _Array):
        return value.value
    if isinstance(value, dict):
        return {_finished(key): _finished(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finished(item) for item in value]
    if value is None or isinstance(value, str | bytes | int | float | np.ndarray):
        return value
    raise RefusedError(f"it holds a {type(value).__name__.lstrip('_')}")
