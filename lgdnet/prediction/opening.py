"""From what the user named to a finished challenge: results, a pack, or one that was unpacked."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lgdnet.errors import InputError
from lgdnet.prediction.finished import Finished, PredictionError
from lgdnet.prediction.pack import MANIFEST, PackError, checked_folder, cure, named_by_pack, unpacked
from lgdnet.settings import RECORDED, read_challenge, read_recorded


@contextmanager
def opened(source: Path | None, *, config: Path | None = None) -> Iterator[Finished]:
    """A finished challenge, for as long as the block runs.

    None is the only one under results/. `config` is a challenge file to use instead of the recorded settings.
    Errors: PredictionError, SettingsError, PackError.
    """
    source = source or only_finished(Path("results"))
    if not source.exists():
        raise PredictionError(f"{source}: no such folder or pack. Name results/<challenge>, or a pack.")
    if source.is_file():
        with unpacked(source) as (root, about), packed(root, source, about, config) as finished:
            yield finished
    elif (source / MANIFEST).is_file():
        with packed(source, source, checked_folder(source), config) as finished:
            yield finished
    else:
        yield of_folder(source, source, config)


@contextmanager
def packed(root: Path, source: Path, about: Mapping[str, Any], config: Path | None) -> Iterator[Finished]:
    """The challenge of a pack whose files lie in `root`; faults in them name the pack."""
    with named_by_pack(root, source, cure(about) if config is None else "Leave out --config."):
        finished = of_folder(root, source, config, tuple(about["rows"]))
        if lacking := sorted(set(finished.packed) - set(finished.challenge.scored())):
            if config is not None:
                raise PackError(
                    f"{config}: has no row {lacking[0]!r}, which {source} holds. Leave out --config."
                )
            raise PackError(f"{source}: its rows are not those of its {RECORDED}. {cure(about)}")
        yield finished


def of_folder(root: Path, source: Path, config: Path | None, rows: tuple[str, ...] = ()) -> Finished:
    """The challenge in a folder, by its recorded settings or by another file of settings."""
    if config is not None:
        return Finished(root, read_challenge(config), source, rows)
    if not (root / RECORDED).is_file():
        raise PredictionError(
            f"{root / RECORDED}: not there, so the settings of this challenge are not known. Run "
            "`snakemake` to its end, or name the challenge file with --config."
        )
    return Finished(root, read_recorded(root / RECORDED), source, rows)


def only_finished(results: Path) -> Path:
    """The one challenge under results/ that can predict its submitted row. Errors: PredictionError for none or several."""
    begun = sorted(path.parent for path in results.glob(f"*/{RECORDED}"))
    found = [folder for folder in begun if is_finished(folder)]
    if len(found) == 1:
        return found[0]
    there = f"there are {', '.join(map(str, found))}" if found else f"{results}/ holds no finished one"
    if begun and not found:
        there += f", {', '.join(map(str, begun))} has not all that predicting needs"
    raise PredictionError(f"which challenge? Name it with --challenge; {there}.")


def is_finished(folder: Path) -> bool:
    """Whether everything is there that the row reads that would be submitted."""
    try:
        finished = of_folder(folder, folder, None)
        submitted = finished.default_row()
        rows = finished.rows() if finished.foreign(submitted) else [submitted]
        return any(finished.has(row) for row in rows)
    except InputError:
        return False
