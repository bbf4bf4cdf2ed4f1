"""api.md: the REST interface, from the OpenAPI document of the server."""

from collections.abc import Iterator
from typing import Any

from infra.settings import DatabaseSettings, KafkaSettings, Settings
from kandle.reference.markdown import code, made_by, page, table

Schemas = dict[str, Any]


def api_page() -> str:
    """Every path with its parameters and answers, then the fields of the answers."""
    described = _openapi()
    schemas: Schemas = described["components"]["schemas"]
    return page(
        "REST API",
        "The server answers under `http://127.0.0.1:8765`; `/openapi.json` is the same for programs, "
        "`/docs` for people. Limits, token, WebSocket and the page: [serve](../serve.md). Times are "
        "whole microseconds since the epoch, UTC, unless a field says otherwise.",
        made_by("api"),
        "## Paths",
        *(
            _operation(path, method, each)
            for path, methods in described["paths"].items()
            for method, each in methods.items()
        ),
        "## Fields",
        *(_schema(name, each) for name, each in schemas.items() if each.get("properties")),
    )


def _openapi() -> dict[str, Any]:
    from serve.app import make_app

    # Nobody is asked for a description.
    settings = Settings.model_construct(kafka=KafkaSettings(), database=DatabaseSettings())
    return make_app(settings).openapi()


def _operation(path: str, method: str, operation: dict[str, Any]) -> str:
    parts = [f"### {method.upper()} {path}", operation.get("description") or operation.get("summary", "")]
    rows = [
        (
            code(each["name"]),
            each["in"],
            _type(each["schema"]),
            "yes" if each.get("required") else "",
            each.get("description") or each["schema"].get("description", ""),
        )
        for each in operation.get("parameters", [])
    ]
    if rows:
        parts.append(table(("parameter", "in", "type", "must be given", "meaning"), rows))
    parts.append(table(("status", "answer", ""), _answers(operation["responses"])))
    return "\n\n".join(part for part in parts if part)


def _answers(responses: dict[str, Any]) -> Iterator[tuple[str, str, str]]:
    for status, answer in responses.items():
        kinds = [
            f"{kind} {_type(about.get('schema', {}))}".strip()
            for kind, about in answer.get("content", {}).items()
        ]
        yield status, ", ".join(kinds), answer.get("description", "")


def _schema(name: str, schema: dict[str, Any]) -> str:
    rows = [
        (code(field), _type(about), about.get("description", ""))
        for field, about in schema["properties"].items()
    ]
    doc = " ".join(schema.get("description", "").split())
    return f"### {name}\n\n{doc}\n\n{table(('field', 'type', 'meaning'), rows)}".replace("\n\n\n\n", "\n\n")


def _type(schema: dict[str, Any]) -> str:
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    if "anyOf" in schema:
        return " or ".join(_type(each) for each in schema["anyOf"])
    if "enum" in schema:
        return ", ".join(code(each) for each in schema["enum"])
    if "const" in schema:
        return code(schema["const"])
    kind = schema.get("type", "")
    if kind == "array":
        return f"list of {_type(schema.get('items', {}))}"
    bounds = [
        f"{words} {schema[key]}" for key, words in (("minimum", "from"), ("maximum", "to")) if key in schema
    ]
    return " ".join([str(kind), *bounds])
