"""The settings for people and for editors: docs/configuration.md and docs/config.schema.json."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

from pydantic_core import PydanticUndefined

from lgdnet.settings.base import Settings
from lgdnet.settings.jobs import JobsSettings
from lgdnet.settings.tree import Challenge

HEADER = """# Configuration reference

Every key of a challenge file, its type, its default and what it means. Made from the settings by
`make schema`; an editor that knows YAML schemas completes and checks against `docs/config.schema.json`.
"""


def json_schema() -> str:
    """JSON schema of `config.yaml`, for editors that complete and check while one types."""
    schema = Challenge.model_json_schema()
    schema["title"] = "lgdnet challenge"
    return json.dumps(schema, indent=1, sort_keys=True) + "\n"


def reference() -> str:
    """docs/configuration.md: one table per block, in the order of the tree."""
    sections = [HEADER]
    for path, block in blocks("", Challenge):
        title = f"`{path}`" if path else "Top level"
        about = " ".join((block.__doc__ or "").split())
        lines = [
            f"## {title}\n",
            f"{about}\n",
            "| key | type | default | meaning |",
            "| --- | --- | --- | --- |",
        ]
        for name, field in block.model_fields.items():
            below = inner(field.annotation)
            about_block = below.__doc__ if below else ""
            meaning = " ".join((field.description or about_block or "").split())
            lines.append(f"| `{name}` | {type_of(block, name)} | {default_of(field.default)} | {meaning} |")
        sections.append("\n".join(lines) + "\n")
    return "\n".join(sections)


def blocks(path: str, block: type[Settings]) -> Iterator[tuple[str, type[Settings]]]:
    """A block and those below it, each once, with the path of its first place."""
    yield path, block
    seen = set()
    for name, field in block.model_fields.items():
        if name == "stream_defaults":  # the same keys as a stream
            continue
        below = inner(field.annotation)
        if block is JobsSettings:  # the same keys for every kind
            name = "<kind>"
        if below is not None and (name, below) not in seen:
            seen.add((name, below))
            key = f"{name}.<name>" if "dict" in str(field.annotation) else name
            yield from blocks(f"{path}.{key}".lstrip("."), below)


def inner(annotation: Any) -> type[Settings] | None:
    """The block that a field holds, directly or in a mapping or an optional."""
    if isinstance(annotation, type) and issubclass(annotation, Settings):
        return annotation
    found = (inner(argument) for argument in get_args(annotation))
    return next((block for block in found if block is not None), None)


def type_of(block: type[Settings], name: str) -> str:
    """A type in the words of the schema: `"sgd" or "adamw"`, `integer above 0`, a block."""
    return words(block.model_json_schema()["properties"][name])


def words(schema: dict[str, Any]) -> str:
    if "$ref" in schema:
        return "block"
    if "anyOf" in schema:
        return " or ".join(dict.fromkeys(words(choice) for choice in schema["anyOf"]))
    if "enum" in schema:
        return " or ".join(f"`{choice}`" for choice in schema["enum"])
    if "const" in schema:
        return f"`{schema['const']}`"
    kind = {"null": "empty", "string": "text"}.get(schema.get("type", ""), schema.get("type", "any"))
    if schema.get("format") == "path":
        kind = "path"
    if kind == "array":
        parts = schema.get("prefixItems") or [schema.get("items", {})]
        return "list of " + ", ".join(dict.fromkeys(words(part) for part in parts))
    if kind == "object":
        named: dict[str, Any] = schema.get("additionalProperties") or next(
            iter(schema.get("patternProperties", {}).values()), {}
        )
        return f"mapping of names to {words(named)}"
    return kind + limits(schema)


def limits(schema: dict[str, Any]) -> str:
    if "exclusiveMinimum" in schema:
        return f" above {schema['exclusiveMinimum']:g}"
    if "minimum" in schema and "maximum" in schema:
        return f" {schema['minimum']:g} to {schema['maximum']:g}"
    return f" from {schema['minimum']:g}" if "minimum" in schema else ""


def default_of(value: Any) -> str:
    if value is PydanticUndefined:
        return "required"
    if isinstance(value, Settings):
        return "see below"
    if value is None or value in ({}, ()):
        return "empty"
    if isinstance(value, Path):
        return f"`{value}`"
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, tuple):
        return ", ".join(default_of(part) for part in value)
    return str(value).lower() if isinstance(value, bool) else f"{value}"
