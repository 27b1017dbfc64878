"""From what the user named to a finished challenge: results, a pack, or one that was unpacked."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lgdnet.prediction.finished import Finished, PredictionError
from lgdnet.prediction.pack import MANIFEST, checked_folder, unpacked
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
        with unpacked(source) as (root, rows):
            yield of_folder(root, source, config, rows)
    elif (source / MANIFEST).is_file():
        yield of_folder(source, source, config, checked_folder(source))
    else:
        yield of_folder(source, source, config)


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
    """The one challenge under results/ whose settings are recorded. Errors: PredictionError for none or several."""
    found = sorted(path.parent for path in results.glob(f"*/{RECORDED}"))
    if len(found) == 1:
        return found[0]
    there = f"there are {', '.join(map(str, found))}" if found else f"{results}/ holds no finished one"
    raise PredictionError(f"which challenge? Name it with --challenge; {there}.")
