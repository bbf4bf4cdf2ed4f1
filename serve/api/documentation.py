"""/docs: the API's description as a page, made here, without scripts."""

import html
from typing import Any, Final

from fastapi import APIRouter, Request
from starlette.responses import HTMLResponse

STYLE: Final = """
:root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif; }
body { margin: 2rem auto; max-width: 60rem; padding: 0 1rem; }
code { font-size: 0.95em; } h2 { margin-top: 2rem; overflow-wrap: anywhere; }
table { border-collapse: collapse; } td { padding: 0.1rem 1rem 0.1rem 0; vertical-align: top; }
"""

router = APIRouter(include_in_schema=False)


@router.get("/docs")
async def docs(request: Request) -> HTMLResponse:
    """Every path with its query and its answer's fields."""
    described = request.app.openapi()
    parts = [
        _operation(path, method, operation, described)
        for path, methods in described["paths"].items()
        for method, operation in methods.items()
    ]
    return HTMLResponse(
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Kandle: the API</title>'
        f'<meta name="viewport" content="width=device-width"><link rel="icon" href="/icon.svg">'
        f"<style>{STYLE}</style></head><body>"
        f"<h1>Kandle: the API</h1><p>{html.escape(described['info']['summary'])} "
        'For programs: <a href="/openapi.json">/openapi.json</a>.</p>'
        f"{''.join(parts)}</body></html>"
    )


def _operation(path: str, method: str, operation: dict[str, Any], described: dict[str, Any]) -> str:
    rows = [
        (
            f"{one['name']}{' (must be given)' if one.get('required') else ''}",
            one.get("description") or one["schema"].get("description", ""),
        )
        for one in operation.get("parameters", [])
    ]
    answer = operation["responses"].get("200", {}).get("content", {}).get("application/json", {})
    fields = _fields(answer.get("schema", {}), described)
    return (
        f"<h2><code>{method.upper()} {html.escape(path)}</code></h2>"
        f"<p>{html.escape(operation.get('description', ''))}</p>"
        f"{_table('Query', rows)}{_table('Answer', fields)}"
    )


def _fields(schema: dict[str, Any], described: dict[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    name = schema.get("$ref", "").rpartition("/")[2]
    found: dict[str, Any] = described["components"]["schemas"].get(name, schema)
    rows: list[tuple[str, str]] = []
    for field, about in found.get("properties", {}).items():
        rows.append((prefix + field, about.get("description", "")))
        if "items" in about:
            rows += _fields(about["items"], described, f"{prefix}{field}[].")
    return rows


def _table(title: str, rows: list[tuple[str, str]]) -> str:
    if not rows:
        return ""
    body = "".join(
        f"<tr><td><code>{html.escape(name)}</code></td><td>{html.escape(about)}</td></tr>"
        for name, about in rows
    )
    return f"<h3>{title}</h3><table>{body}</table>"
