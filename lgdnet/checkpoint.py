"""Weights and the state of a training run on disk: safetensors files that prove themselves.

Two formats, both a single safetensors file that is written under a temporary name, flushed and renamed:

- a model file: the weights, and text about them (settings, classes, code version);
- a training checkpoint: everything that the next step depends on.

Nothing here is unpickled. Each file carries a sha256 over its names, types, shapes and values, so that a file
cut short or a flipped bit is noticed when it is read.
"""

import contextlib
import errno
import fcntl
import hashlib
import json
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, TextIO

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from lgdnet.artefact import METADATA_KEY, atomic, code_version, full_disk_explained, remove_leftovers
from lgdnet.errors import InputError
from lgdnet.log import say, warn

MODEL_FORMAT = "lgdnet-model-1"
TRAINING_FORMAT = "lgdnet-training-1"
NUM_KEPT = 2
CHECKPOINTS = "step-*.safetensors"
FIGURES = ("history.csv", "bad_steps*.csv")


class CheckpointError(InputError):
    """A model file or checkpoint that is missing, damaged, or of another kind."""


# ---- model files


def write_model(path: Path, weights: Mapping[str, Tensor], metadata: Mapping[str, str] | None = None) -> None:
    """Weights by name, with text about them; whole or not at all. Errors: CheckpointError when the disk is full."""
    values = {"code_version": code_version(), **(metadata or {})}
    write_tensors(path, weights, {**values, "format": MODEL_FORMAT})


def read_model(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Weights by name (on the CPU) and the text about them. Errors: CheckpointError."""
    return read_tensors(path, expected_format=MODEL_FORMAT)


# ---- training checkpoints


class Checkpoints:
    """The folder of one training run: its two newest checkpoints; those of other runs lie aside in `old-...`.

    `identity` is a text that changes with everything that changes the result. A checkpoint of another
    identity is of another run: it is never resumed from. `details` change the result's rounding at most;
    where they differ the run goes on with a warning. The run's figures lie beside the folder.
    """

    def __init__(
        self,
        folder: Path,
        *,
        identity: str = "",
        details: Mapping[str, Any] | None = None,
    ) -> None:
        self.folder = folder
        self.identity = identity
        self.details = dict(details or {})
        self.last: int | None = None  # the step that this process has saved or gone on from

    def path(self, step: int) -> Path:
        """Where the state after `step` steps is kept."""
        return self.folder / f"step-{step:08d}.safetensors"

    def paths(self) -> list[Path]:
        """All checkpoints there are, newest first."""
        return sorted(self.folder.glob(CHECKPOINTS), reverse=True)

    def save(self, step: int, state: Mapping[str, Any]) -> Path:
        """Write the state after `step` steps, then remove all but the newest two of this run.

        Errors: CheckpointError when the disk is full; the checkpoints that were there stay whole.
        """
        tensors, skeleton = packed(state)
        metadata = {
            "format": TRAINING_FORMAT,
            "identity": self.identity,
            "step": str(step),
            "details": json.dumps(self.details, sort_keys=True),
        }
        try:
            write_tensors(self.path(step), tensors, {**metadata, "state": json.dumps(skeleton)})
        except CheckpointError as error:
            whole = self.paths()
            kept = f"The last good checkpoint, {whole[0]}, is whole." if whole else "There is no earlier one."
            raise CheckpointError(f"{error} {kept}") from None
        newer = [path for path in self.paths() if path > self.path(step)]  # damaged
        older = [path for path in self.paths() if path < self.path(step)]
        for path in newer + older[NUM_KEPT - 1 :]:
            path.unlink(missing_ok=True)
        self.last = step
        return self.path(step)

    def latest(self) -> tuple[int, dict[str, Any]] | None:
        """Step and state of the newest checkpoint that is whole and of this run; None when there is none.

        A damaged one is passed over with a warning.
        """
        for path in self.paths():
            try:
                return self.read(path)
            except CheckpointError as error:
                warn(f"{error} Trying the checkpoint before it.")
        return None

    def read(self, path: Path) -> tuple[int, dict[str, Any]]:
        """Step and state of one checkpoint. Errors: CheckpointError when it is missing, damaged or another run's."""
        tensors, metadata = read_tensors(path, expected_format=TRAINING_FORMAT)
        if metadata["identity"] != self.identity:
            raise CheckpointError(f"{path}: made with other settings or data; not resumed from.")
        before = json.loads(metadata.get("details", "{}"))
        for key in sorted(before.keys() & self.details.keys()):
            if before[key] != self.details[key]:
                warn(
                    f"{path}: made with {key} {before[key]}, now {self.details[key]}; training goes on from it, but "
                    "the result will not be the same to the last bit."
                )
        return int(metadata["step"]), unpacked(json.loads(metadata["state"]), tensors)

    def make_room(self) -> None:
        """Move another run's files aside, bring back our own, delete what killed writers left. Under `only_one`.

        The checkpoints move last, so that a move that was cut short is finished by the next start.
        """
        remove_leftovers(self.folder)
        whose = {path: self.identity_of(path) for path in self.paths()}
        for identity in set(whose.values()) - {self.identity, None}:
            aside = self.folder / f"old-{identity}"
            theirs = [path for path, owner in whose.items() if owner == identity]
            move([*self.figures(self.folder.parent), *theirs], aside)
            warn(
                f"{aside}: checkpoints made with other settings or data, moved there and not resumed from. "
                "They come back with those settings; delete the folder if you will not need them."
            )
        aside = self.folder / f"old-{self.identity}"
        if aside.is_dir() and not self.paths():
            move(self.figures(aside), self.folder.parent)
            move(aside.glob(CHECKPOINTS), self.folder)
            with contextlib.suppress(OSError):  # a file that is not ours is in it
                aside.rmdir()
            say(f"{self.folder}: took back the checkpoints made with these settings before")

    def identity_of(self, path: Path) -> str | None:
        """Whose checkpoint it is; None when it is damaged."""
        try:
            if metadata_of(path).get("identity") == self.identity:
                return self.identity  # whether it is whole is seen when it is read
            return read_tensors(path, expected_format=TRAINING_FORMAT)[1]["identity"]
        except CheckpointError:
            return None

    def figures(self, folder: Path) -> list[Path]:
        """The files of one run's figures, which go where its checkpoints go."""
        return [path for pattern in FIGURES for path in folder.glob(pattern)]


def move(paths: Iterable[Path], folder: Path) -> None:
    """Files into `folder`, under their names."""
    folder.mkdir(exist_ok=True)
    for path in list(paths):
        path.replace(folder / path.name)


@contextlib.contextmanager
def only_one(folder: Path, *, patience_sec: float = 20.0) -> Iterator[None]:
    """Hold a folder against a second training run in it, for as long as the block or the process lasts.

    A POSIX lock: it goes with its process however that ends, is not inherited by loader workers, and works on
    NFS. Where a file system has no locks, a warning. Errors: CheckpointError after `patience_sec`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as file:
        lock(file, folder, time.monotonic() + patience_sec)
        yield


def lock(file: TextIO, folder: Path, deadline: float) -> None:
    """Take the lock, waiting for a process that is just ending."""
    while True:
        try:
            return fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in (errno.EACCES, errno.EAGAIN):
                return warn(f"{folder}: this file system has no locks ({error}); do not start two runs here.")
            if time.monotonic() > deadline:
                raise CheckpointError(
                    f"{folder}: another process is training here. Wait for it or stop it, then start again."
                ) from None
        time.sleep(0.2)


# ---- tensors with a digest


def write_tensors(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> None:
    """One safetensors file with its own digest. Errors: CheckpointError when the disk is full."""
    apart = {name: value.detach().to("cpu").contiguous() for name, value in tensors.items()}
    seen: set[int] = set()
    for name, value in apart.items():  # safetensors refuses views and shared memory
        if value.untyped_storage().nbytes() != value.nbytes or value.data_ptr() in seen:
            apart[name] = value.clone()
        seen.add(value.data_ptr())
    sealed = {**metadata, "digest": tensors_digest(apart, metadata)}
    with full_disk_explained(path, CheckpointError), atomic(path) as tmp:
        # One entry: safetensors writes several in random order, and the same run must give the same bytes.
        save_file(apart, tmp, metadata={METADATA_KEY: json.dumps(sealed, sort_keys=True)})


def read_tensors(path: Path, *, expected_format: str) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Tensors and metadata of a file whose digest is right. Errors: CheckpointError."""
    metadata = metadata_of(path)
    try:
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  (not a dict)
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{path}: damaged ({error}).") from None
    if metadata.get("format") != expected_format:
        raise CheckpointError(
            f"{path}: format {metadata.get('format')!r} where {expected_format!r} is needed."
        )
    digest = metadata.pop("digest", "")
    if digest != tensors_digest(tensors, metadata):
        raise CheckpointError(f"{path}: damaged, its values do not match its digest.")
    return tensors, metadata


def metadata_of(path: Path) -> dict[str, str]:
    """The text in a file's header, unproven. Errors: CheckpointError."""
    if not path.exists():
        raise CheckpointError(f"{path}: no such file.")
    try:
        with safe_open(path, framework="pt") as file:
            metadata = json.loads((file.metadata() or {}).get(METADATA_KEY, "{}"))
    except (SafetensorError, OSError, ValueError) as error:
        raise CheckpointError(f"{path}: damaged ({error}).") from None
    if not isinstance(metadata, dict):
        raise CheckpointError(f"{path}: damaged (its text is no table).")
    return metadata


def tensors_digest(tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> str:
    """sha256 over metadata, names, types, shapes and values, in the order of the names."""
    sha = hashlib.sha256(json.dumps(dict(metadata), sort_keys=True).encode())
    for name in sorted(tensors):
        value = tensors[name]
        sha.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
        sha.update(value.reshape(-1).view(torch.uint8).numpy().data if value.numel() else b"")
    return sha.hexdigest()


# ---- any state as tensors and JSON


def packed(tree: Any) -> tuple[dict[str, Tensor], Any]:
    """Split nested dicts, lists and numbers into tensors by name and a JSON skeleton that holds the rest."""
    tensors: dict[str, Tensor] = {}

    def skeleton(value: Any) -> Any:
        if isinstance(value, Tensor):
            name = str(len(tensors))
            tensors[name] = value
            return {"tensor": name}
        if isinstance(value, Mapping):  # pairs, because JSON would turn a key 0 into "0"
            return {"dict": [[key, skeleton(item)] for key, item in value.items()]}
        if isinstance(value, list | tuple):
            return {"list": [skeleton(item) for item in value]}
        return value

    return tensors, skeleton(tree)


def unpacked(skeleton: Any, tensors: Mapping[str, Tensor]) -> Any:
    """The inverse of `packed`; tuples come back as lists."""
    if not isinstance(skeleton, dict):
        return skeleton
    if "tensor" in skeleton:
        return tensors[skeleton["tensor"]]
    if "dict" in skeleton:
        return {key: unpacked(item, tensors) for key, item in skeleton["dict"]}
    return [unpacked(item, tensors) for item in skeleton["list"]]
