"""From YAML and JSON to settings, and faults in plain words."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from lgdnet.settings.base import Settings, SettingsError, nearest
from lgdnet.settings.tree import Challenge

S = TypeVar("S", bound=Settings)

RECORDED = "challenge.json"  # in results/{challenge}


def changed(settings: Settings, keys: tuple[str, ...] | None = None) -> str:
    """JSON of the values that differ from their defaults, of all keys or of some.

    This is what a rule hands to its stage and what Snakemake compares: a comment, a new field or a default
    written out changes nothing; a changed value reruns exactly the stages that are handed it.
    """
    values = settings.model_dump(mode="json", exclude_defaults=True, include=set(keys) if keys else None)
    return json.dumps(values, sort_keys=True)


def recorded(challenge: Challenge) -> str:
    """The settings of a whole challenge as JSON that `read_recorded` reads back, in the order of the file.

    Whatever the command line changed is in it. Left out are `stream_defaults`, which are filled into the streams
    already, and what jobs ask of a cluster, which changes no result.
    """
    left_out = {"stream_defaults", "jobs", "threads"}
    values = challenge.model_dump(mode="json", exclude_defaults=True, exclude=left_out)
    return json.dumps(values, indent=1, ensure_ascii=False)


def read_recorded(path: Path) -> Challenge:
    """The settings that a finished challenge was made with."""
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise SettingsError(
            f"{path}: not the settings of a challenge ({error}). Run snakemake again."
        ) from None
    return check(Challenge, values, source=str(path))


def parse(model: type[S], text: str) -> S:
    """Settings of a stage from the JSON of its `--settings` option."""
    try:
        values = json.loads(text)
    except json.JSONDecodeError as error:
        raise SettingsError(f"--settings: not JSON ({error}): {text!r}") from None
    return check(model, values, source="--settings")


def read_challenge(path: Path) -> Challenge:
    """A challenge from a YAML file. Errors: SettingsError."""
    import yaml

    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise SettingsError(f"{path}: no such file. Name a challenge file, such as config.yaml.") from None
    except OSError as error:
        raise SettingsError(
            f"{path}: cannot be read ({error.strerror}). Name a challenge file, such as config.yaml."
        ) from None
    except UnicodeDecodeError:
        raise SettingsError(f"{path}: not UTF-8, so no challenge file. Save it as UTF-8.") from None
    except yaml.YAMLError as error:
        raise SettingsError(f"{path}: not YAML: {' '.join(str(error).split())}") from None
    return challenge_of(values, source=str(path))


def challenge_of(values: Any, *, source: str) -> Challenge:
    """A challenge from parsed YAML; `stream_defaults` are filled into every stream.

    Raises SettingsError with one line per fault, each with the path of the key and its nearest neighbour.
    """
    if isinstance(values, Mapping) and isinstance(values.get("streams"), Mapping):
        defaults = values.get("stream_defaults") or {}
        streams = {name: merged(defaults, own or {}) for name, own in values["streams"].items()}
        values = {**values, "streams": streams}
    return check(Challenge, values, source=source)


def check_annotations(challenge: Challenge, *, source: str) -> None:
    """SettingsError for an annotation file or class list that is not there, before anything is planned."""
    named: dict[str, Path] = {}
    for split, path in challenge.dataset.annotations.items():
        if path not in named.values():  # one list may serve several splits
            named[f"annotations: {split}"] = path
    if challenge.dataset.classes is not None:
        named["classes"] = challenge.dataset.classes
    lines = [
        f"{source}: dataset: {key}: {challenge.data_path(path)}: no such file. Correct the path or data_root"
        + ("; `lgdnet sample` renders the sample challenge." if challenge.challenge == "sample" else ".")
        for key, path in named.items()
        if not challenge.data_path(path).exists()
    ]
    if lines:
        raise SettingsError("\n".join(lines))


def merged(defaults: Any, own: Any) -> Any:
    """`own` over `defaults`, mapping by mapping; anything but a mapping is replaced whole."""
    if not (isinstance(defaults, Mapping) and isinstance(own, Mapping)):
        return own
    return {
        key: merged(defaults.get(key), own[key]) if key in own else defaults[key]
        for key in {**defaults, **own}
    }


def check(model: type[S], values: Any, *, source: str) -> S:
    """Validate, or raise SettingsError in plain words."""
    try:
        return model.model_validate(values)
    except ValidationError as error:
        lines = [f"{source}: {describe(fault, model)}" for fault in error.errors()]
        raise SettingsError("\n".join(dict.fromkeys(lines))) from None


def describe(fault: Mapping[str, Any], model: type[Settings]) -> str:
    """One fault as `streams.frame16: dump: unknown key 'num_crop'; did you mean 'num_crops'?`"""
    *parents, key = fault["loc"] or ("",)
    where = "".join(f"{part}: " for part in join_names(parents))
    if fault["type"] == "extra_forbidden":
        return f"{where}unknown key {key!r}{nearest(str(key), fields_at(model, parents))}"
    if fault["type"] == "missing":
        return f"{where}missing key {key!r}"
    message = fault["msg"].removeprefix("Value error, ")
    if not fault["loc"]:
        return message
    where = "".join(f"{part}: " for part in join_names(fault["loc"]))
    shown = "" if isinstance(fault.get("input"), Mapping) else f" (it is {fault.get('input')!r})"
    return f"{where}{message[0].lower()}{message[1:]}{shown}"


def join_names(parts: Any) -> list[str]:
    """`streams`, `frame16`, `dump` as `streams.frame16`, `dump`: a stream's name belongs to its table."""
    names = [str(part) for part in parts if part != "[key]"]
    if len(names) >= 2 and names[0] in ("streams", "fusions"):
        names[:2] = [f"{names[0]}.{names[1]}"]
    return names


def fields_at(model: type[Settings], parents: list[Any]) -> list[str]:
    """The key names allowed at a path, to find the nearest neighbour of a misspelt one."""
    current: Any = model
    for part in parents:
        if isinstance(current, type) and issubclass(current, Settings) and part in current.model_fields:
            current = current.model_fields[part].annotation
        else:  # the name of a stream in dict[Name, StreamSettings]
            current = getattr(current, "__args__", (None,))[-1]
    return list(current.model_fields) if isinstance(current, type) and issubclass(current, Settings) else []
