"""Queries are read in full: what a route does not know was meant to narrow its answer, and is refused."""

import difflib
from typing import Final

from fastapi import HTTPException, Request

ANYWHERE: Final = frozenset({"token"})
"""Read by whoever lets requests pass, see `serve.access`."""


def known_parameters(request: Request) -> None:
    """The dependency of routers whose routes take a query.

    Raises:
        HTTPException: The query has a parameter that the description of the route does not name.
    """
    if not request.query_params:
        return
    path, method = request.scope["route"].path, request.method.lower()
    described = request.app.openapi()["paths"][path][method].get("parameters", [])
    known = {each["name"] for each in described if each["in"] == "query"}
    for name in request.query_params:
        if name not in known | ANYWHERE:
            near = difflib.get_close_matches(name, known, 1)
            hint = f"did you mean {near[0]}?" if near else f"it takes {', '.join(sorted(known)) or 'none'}"
            raise HTTPException(422, f"{request.url.path} has no parameter {name!r:.60}; {hint}")
