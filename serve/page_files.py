"""The page's own files, and the headers that keep a browser from anything else."""

from importlib import resources
from typing import Final

from fastapi import FastAPI
from starlette.middleware.gzip import GZipMiddleware
from starlette.responses import Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

POLICY: Final = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",
        "connect-src 'self'",
        "manifest-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)
"""Scripts, styles and connections of this server alone; nobody may frame the page."""
HEADERS: Final = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    # Asked for again each time, and answered with 304: a page and modules of two versions do not mix.
    "Cache-Control": "no-cache",
}


class _Files(StaticFiles):
    """Files that carry the headers."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        response = await super().get_response(path, scope)
        response.headers.update(HEADERS)
        return response


def mount_page(app: FastAPI) -> None:
    """Answer what no route takes: `/` with the page, `/charts` with modules that it shares with reports."""
    charts, page = resources.files("infra.charts"), resources.files("serve") / "page"
    # To a phone they are a quarter of their bytes; what streams is none of these.
    app.mount("/charts", GZipMiddleware(_Files(directory=str(charts))), "charts")
    app.mount("/", GZipMiddleware(_Files(directory=str(page), html=True)), "page")
