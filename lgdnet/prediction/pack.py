"""A finished challenge in one file: a zip without compression, whose first member says what the others must be.

pack.json               format, rows, code version, and of each other member its size and sha256
challenge.json          the settings, all that were changed on the command line included
manifest/classes.txt    and weights, fitted aggregations and fusion weights, in the places that they have in results/

Nothing in it is executed or unpickled: JSON, text, CSV and safetensors.
"""

import json
import re
import shutil
import struct
import tempfile
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any

from lgdnet.artefact import atomic, code_version, digest, disk_is_full, file_digest
from lgdnet.errors import InputError
from lgdnet.prediction.finished import CLASSES, Finished
from lgdnet.settings import RECORDED, recorded

MANIFEST = "pack.json"
FORMAT = "lgdnet-pack-1"
MAX_MANIFEST_BYTES = 2**24
DATE = (1980, 1, 1, 0, 0, 0)  # the same bytes whenever it is packed
AGAIN = "Copy it again, or make it again with `lgdnet pack`."
DAMAGE = (  # what zipfile raises for files that are no zip, or not a whole one; RuntimeError is its word for encrypted
    *(zipfile.BadZipFile, zipfile.LargeZipFile, OSError, EOFError, RuntimeError, ValueError),
    *(zlib.error, struct.error, LookupError, OverflowError),
)


class PackError(InputError):
    """A pack that is damaged, not whole, or no pack."""


def write_pack(out: Path, finished: Finished, rows: Sequence[str]) -> None:
    """Everything that predicting `rows` needs, the first of them being the default; whole or not at all."""
    settings = recorded(finished.challenge).encode()
    names = dict.fromkeys([CLASSES, *(file for row in rows for file in finished.files(row))])
    files = {name: finished.path(name) for name in names}
    members = {name: {"bytes": p.stat().st_size, "sha256": file_digest(p)} for name, p in files.items()}
    with tempfile.TemporaryDirectory() as folder:
        kept = Path(folder, RECORDED)
        kept.write_bytes(settings)
        files[RECORDED] = kept
        members[RECORDED] = {"bytes": len(settings), "sha256": file_digest(kept)}
        about = {
            "format": FORMAT,
            "challenge": finished.challenge.challenge,
            "rows": list(rows),
            "code_version": code_version(),
            "files": members,
        }
        about["digest"] = digest(about)
        with atomic(out) as tmp, zipfile.ZipFile(tmp, "w", zipfile.ZIP_STORED) as archive:
            archive.writestr(zipfile.ZipInfo(MANIFEST, DATE), json.dumps(about, indent=1))
            for name, path in files.items():
                with path.open("rb") as source, archive.open(zipfile.ZipInfo(name, DATE), "w") as target:
                    shutil.copyfileobj(source, target, 2**20)


def check_target(out: Path) -> None:
    """Errors: PackError for a file that is no pack, or a folder: neither is written over."""
    if out.is_dir():
        raise PackError(f"{out}: a folder. Name the file to write, such as {out / 'challenge.lgdnet'}.")
    if out.exists() and not is_pack(out):
        raise PackError(f"{out}: is there already and no pack. Delete it, or name another file.")


def is_pack(path: Path) -> bool:
    """Whether a file is one of ours, as far as its table of contents says."""
    try:
        with zipfile.ZipFile(path) as archive:
            return MANIFEST in archive.namelist()
    except DAMAGE:
        return False


@contextmanager
def unpacked(path: Path) -> Iterator[tuple[Path, dict[str, Any]]]:
    """A pack in a temporary folder, every file checked, and its pack.json. Errors: PackError."""
    with tempfile.TemporaryDirectory(prefix="lgdnet-pack-") as folder:
        root = Path(folder)
        try:
            with zipfile.ZipFile(path) as archive:
                about = read_about(archive, path)
                for name, expected in about["files"].items():
                    extract(archive, name, int(expected["bytes"]), root / name, path)
        except PackError:
            raise
        except DAMAGE as error:
            if disk_is_full(error):
                raise PackError(
                    f"{path}: not unpacked, the disk of {root.parent} is full. Free some space there, or set TMPDIR "
                    "to a folder with more."
                ) from None
            raise PackError(f"{path}: damaged, or no pack ({error}). {AGAIN}") from None
        check_files(root, about["files"], path)
        yield root, about


def read_about(archive: zipfile.ZipFile, path: Path) -> dict[str, Any]:
    """pack.json, checked."""
    if MANIFEST not in archive.namelist():
        raise PackError(f"{path}: not a pack, it has no {MANIFEST}. Make one with `lgdnet pack`.")
    if archive.getinfo(MANIFEST).file_size > MAX_MANIFEST_BYTES:
        raise PackError(f"{path}: its {MANIFEST} is too large. {AGAIN}")
    return parsed(archive.read(MANIFEST), path)


def parsed(text: bytes, path: Path) -> dict[str, Any]:
    """pack.json as it must be: of our format, undamaged, with names that stay inside the pack."""
    try:
        about = json.loads(text)
        known = about.pop("digest")
        found = about["format"]
        names = list(about["files"])
        is_whole = digest(about) == known and is_complete(about)
    except (ValueError, KeyError, TypeError, AttributeError):
        names, is_whole, found = [], False, FORMAT
    if found != FORMAT:
        raise PackError(f"{path}: format {found!r}, {FORMAT!r} is needed. {cure(about)}")
    if not is_whole:
        raise PackError(f"{path}: its {MANIFEST} is damaged. {AGAIN}")
    for name in names:
        parts = PurePosixPath(name)
        if parts.is_absolute() or ".." in parts.parts or "\\" in name or name in (MANIFEST, "", "."):
            raise PackError(f"{path}: a file in it is called {name!r}, which leads out of the pack. {AGAIN}")
    return about


def is_complete(about: Mapping[str, Any]) -> bool:
    """Whether pack.json has everything that is read of it, each of its kind."""
    rows, files = about["rows"], about["files"]
    return (
        isinstance(rows, list)
        and len(rows) > 0
        and all(isinstance(row, str) for row in rows)
        and {RECORDED, CLASSES} <= set(files)
        and all(type(f["bytes"]) is int and isinstance(f["sha256"], str) for f in files.values())
    )


def cure(about: Mapping[str, Any]) -> str:
    """What helps against a pack that is undamaged and still cannot be used."""
    made_by = str(about.get("code_version", ""))
    if release(made_by) > release(code_version()):
        return f"It was made by a newer lgdnet ({made_by}, this is {code_version()}): update this one."
    return "Make it again with `lgdnet pack`."


def release(version: str) -> tuple[int, ...]:
    """`0.10.2+1a2b3c4` -> (0, 10, 2)"""
    numbers = re.match(r"\d+(?:\.\d+)*", version)
    return tuple(int(number) for number in numbers[0].split(".")) if numbers else ()


@contextmanager
def named_by_pack(root: Path, source: Path, remedy: str) -> Iterator[None]:
    """Faults of the files in `root` as faults of the pack and its member, with the way out of a pack.

    Errors: PackError instead of any InputError that names a file of `root`; others as they are.
    """
    try:
        yield
    except InputError as error:
        text = str(error)
        if isinstance(error, PackError) or str(root) not in text:
            raise
        text = text.replace(f"{root}/", f"{source}: ").replace(str(root), str(source))
        # What follows the first sentence is the way out for results.
        fault = re.split(r"\. (?=[A-Z])", text.splitlines()[0])[0].rstrip(".")
        raise PackError(f"{fault}. {remedy}") from None


def extract(archive: zipfile.ZipFile, name: str, num_bytes: int, target: Path, path: Path) -> None:
    """One member to a file of exactly the size that was promised."""
    try:
        member = archive.getinfo(name)
    except KeyError:
        raise PackError(f"{path}: {name} is missing. {AGAIN}") from None
    if member.flag_bits & 1:
        raise PackError(f"{path}: {name} is marked as encrypted, which no pack is. {AGAIN}")
    if member.compress_type != zipfile.ZIP_STORED or member.file_size != num_bytes:
        raise PackError(f"{path}: {name} has another size than it should. {AGAIN}")
    target.parent.mkdir(parents=True, exist_ok=True)
    with archive.open(member) as source, target.open("wb") as file:
        shutil.copyfileobj(source, file, 2**20)


def checked_folder(folder: Path) -> dict[str, Any]:
    """pack.json of a pack that was unpacked by hand, every file checked. Errors: PackError."""
    about = parsed((folder / MANIFEST).read_bytes(), folder)
    check_files(folder, about["files"], folder)
    return about


def check_files(root: Path, files: Mapping[str, Any], source: Path) -> None:
    """Every file is there and is the one that was packed."""
    for name, expected in files.items():
        if not (root / name).is_file():
            raise PackError(f"{source}: {name} is missing. {AGAIN}")
        if file_digest(root / name) != expected["sha256"]:
            raise PackError(f"{source}: {name} is damaged, its sha256 is not the one in {MANIFEST}. {AGAIN}")
