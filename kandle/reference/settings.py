"""settings.md: every setting with its environment name, type, bounds and default."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Final, get_args

from pydantic import BaseModel, SecretStr, TypeAdapter
from pydantic.fields import FieldInfo

from infra.settings import ChannelSettings, NotificationRule, QuietHours, Settings, VenueSettings
from infra.settings.loading import ALIASES, PREFIX
from kandle.reference.markdown import code, made_by, page, table

HEAD: Final = ("setting", "environment", "type", "default", "meaning")
MADE_ANEW: Final = {"run_id": "made anew at each start"}
"""Defaults that are another one each time."""
ALIAS_OF: Final = {".".join(path): name for name, path in ALIASES.items()}
TEXTS: Final = {"integer": "whole number", "number": "number", "string": "text", "boolean": "true or false"}


def settings_page() -> str:
    """All groups, in the order of the code."""
    return page(
        "Settings",
        "From arguments, the environment, `.env` and one TOML file (`kandle.toml`, or the file that "
        "`KANDLE_CONFIG` names), in this order of weight; unknown names are refused. Lists are written "
        "in the environment as `a,b` or as JSON. `kandle config` prints what is in force. How they are "
        "used: [operations](../operations.md#settings).",
        made_by("settings"),
        *_groups(),
    )


def fields_of(model: type[BaseModel], path: tuple[str, ...] = ()) -> Iterator[tuple[str, FieldInfo]]:
    """Path and definition of each setting of a model and of the sections in it."""
    for name, field in model.model_fields.items():
        section = _section(field)
        if section is not None:
            yield from fields_of(section, (*path, name))
        else:
            yield ".".join((*path, name)), field


def _groups() -> Iterator[str]:
    plain = [(name, field) for name, field in Settings.model_fields.items() if _section(field) is None]
    yield _group("General", "Settings outside of a section.", [(name, field) for name, field in plain])
    for name, field in Settings.model_fields.items():
        section = _section(field)
        if section is not None:
            yield _group(f"[{name}]", section.__doc__ or "", fields_of(section, (name,)))
    yield _group("[venues.NAME]", VenueSettings.__doc__ or "", fields_of(VenueSettings, ("venues", "NAME")))
    channel = ("notifications", "channels", "NAME")
    yield _group(f"[{'.'.join(channel)}]", ChannelSettings.__doc__ or "", fields_of(ChannelSettings, channel))
    yield _group(
        f"[{'.'.join(channel)}.quiet]", QuietHours.__doc__ or "", fields_of(QuietHours, (*channel, "quiet"))
    )
    yield _group(
        "[[notifications.rules]]",
        f"{NotificationRule.__doc__ or ''}\n\nIn the environment all rules are one JSON list.",
        fields_of(NotificationRule),
    )


def _section(field: FieldInfo) -> type[BaseModel] | None:
    kind = field.annotation
    return kind if isinstance(kind, type) and issubclass(kind, BaseModel) else None


def _group(title: str, doc: str, fields: Any) -> str:
    rows = [
        (code(path), _environment(path), type_of(field), _default(path, field), field.description or "")
        for path, field in fields
    ]
    is_rule = title.startswith("[[")
    kept = [0, 2, 3, 4] if is_rule else range(len(HEAD))
    lines = "\n\n".join(" ".join(part.split()) for part in doc.split("\n\n"))
    shown = table([HEAD[n] for n in kept], [[row[n] for n in kept] for row in rows])
    return f"## {title}\n\n{lines}\n\n{shown}"


def _environment(path: str) -> str:
    name = PREFIX + path.upper().replace(".", "__")
    alias = ALIAS_OF.get(path)
    return f"`{name}`" + (f", `{alias}`" if alias else "")


def type_of(field: FieldInfo) -> str:
    """What a value may be, for people, its bounds included."""
    annotated = Any if field.annotation is None else field.annotation
    if annotated is SecretStr or SecretStr in get_args(annotated):
        return "secret text"
    if annotated is Path or Path in get_args(annotated):
        return "path"
    # Bounds of a list's items come with the annotation, those of the field itself as metadata.
    described = TypeAdapter(_whole(field)).json_schema()
    return _type(described, described.get("$defs", {}))


def _whole(field: FieldInfo) -> Any:
    whole: Any = field.annotation
    for each in field.metadata:
        whole = Annotated[whole, each]
    return whole


def _type(schema: dict[str, Any], parts: dict[str, Any]) -> str:
    if "$ref" in schema:
        return "table, see below"
    if "enum" in schema:
        return ", ".join(code(value) for value in schema["enum"])
    if "const" in schema:
        return code(schema["const"])
    if "anyOf" in schema:
        return " or ".join(_type(each, parts) for each in schema["anyOf"] if each.get("type") != "null")
    kind = schema.get("type")
    if kind == "array":
        least = ", at least one" if schema.get("minItems") else ""
        return f"list of {_type(schema.get('items', {}), parts)}{least}"
    if kind == "object":
        return "tables by name, see below"
    bounds = [
        f"{words} {schema[key]}"
        for key, words in (
            ("exclusiveMinimum", "above"),
            ("minimum", "from"),
            ("exclusiveMaximum", "below"),
            ("maximum", "to"),
        )
        if key in schema
    ]
    return " ".join([TEXTS.get(str(kind), "text"), *bounds])


def _default(path: str, field: FieldInfo) -> str:
    if path in MADE_ANEW:
        return MADE_ANEW[path]
    if field.is_required():
        return "must be given"
    value = field.get_default(call_default_factory=True)
    if value is None:
        return "none"
    if isinstance(value, Path):
        return code(value)
    if isinstance(value, list):
        return code(",".join(map(str, value))) if value else "empty"
    if isinstance(value, str):
        return code(value) if value else "empty"
    return code(json.dumps(value)) if not isinstance(value, dict) or value else "empty"
