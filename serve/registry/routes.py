"""The registry over HTTP: paths, answers and errors as Confluent's clients know them. Writes are refused."""

import json
from typing import Any, Final

import fastavro
import fastavro.schema
from fastapi import APIRouter, Request
from starlette.responses import JSONResponse

from schemas.registry import BY_ID
from serve.registry.compatibility import incompatibilities
from serve.registry.subjects import Version, subjects, versions_of

MEDIA_TYPE: Final = "application/vnd.schemaregistry.v1+json"
LEVEL: Final = "BACKWARD"
LARGEST_BODY: Final = 1024 * 1024
_INVALID: Final = (
    *(ValueError, KeyError, TypeError, AttributeError, RecursionError),
    *(fastavro.schema.SchemaParseException, fastavro.schema.UnknownType),
)
"""What reading a schema raises that is none."""

router = APIRouter(include_in_schema=False)


class RegistryError(Exception):
    """What is asked for is not there, wrong or not allowed.

    Args:
        code: The registry's number of the error; its first three digits are the HTTP status.
        message: For people.
    """

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


def answer_error(request: Request, error: Exception) -> JSONResponse:
    """An error as registries tell it."""
    code = error.code if isinstance(error, RegistryError) else 50001
    return _json({"error_code": code, "message": str(error)}, code // 100)


def _json(content: object, status: int = 200) -> JSONResponse:
    return JSONResponse(content, status, media_type=MEDIA_TYPE)


def _versions(subject: str) -> list[Version]:
    found = subjects().get(subject)
    if found is None:
        raise RegistryError(40401, f"Subject '{subject}' not found.")
    return found


def _version(subject: str, number: str) -> Version:
    versions = _versions(subject)
    if number in {"latest", "-1"}:
        return versions[-1]
    if not (number.isascii() and number.isdecimal()) or not 0 < len(number) < 10 or int(number) < 1:
        raise RegistryError(42202, f"The specified version '{number}' is not a valid version id.")
    if int(number) > len(versions):
        raise RegistryError(40402, f"Version {number} not found.")
    return versions[int(number) - 1]


def _by_id(schema_id: str) -> Version:
    known = schema_id.isascii() and schema_id.isdecimal() and len(schema_id) < 10
    entry = BY_ID.get(int(schema_id)) if known else None
    if entry is None:
        raise RegistryError(40403, f"Schema {schema_id} not found")
    return Version("", 0, entry)


async def _asked(request: Request) -> Any:
    """The Avro schema in the body."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > LARGEST_BODY:
            raise RegistryError(42201, f"A schema has at most {LARGEST_BODY} bytes.")
    try:
        content = json.loads(bytes(body))
        text, kind = content["schema"], content.get("schemaType", "AVRO")
        schema = json.loads(text) if isinstance(text, str) and text.lstrip()[:1] in '{["' else text
        fastavro.parse_schema(schema)
    except _INVALID as error:
        raise RegistryError(42201, f"Invalid schema: {type(error).__name__}: {error}") from None
    if kind != "AVRO":
        raise RegistryError(42201, f"Schemas are AVRO here, not {kind}.")
    return schema


@router.get("/subjects")
async def all_subjects(subjectPrefix: str = "") -> JSONResponse:  # noqa: N803 - the registry's own name
    """Names of all subjects."""
    return _json([name for name in subjects() if name.startswith(subjectPrefix)])


@router.get("/subjects/{subject}/versions")
async def versions(subject: str) -> JSONResponse:
    """Numbers of a subject's versions."""
    return _json([version.number for version in _versions(subject)])


@router.get("/subjects/{subject}/versions/{number}")
async def version(subject: str, number: str) -> JSONResponse:
    """A version of a subject: `latest`, -1 or its number."""
    return _json(_version(subject, number).as_dict())


@router.get("/subjects/{subject}/versions/{number}/schema")
async def version_schema(subject: str, number: str) -> JSONResponse:
    """The schema of a version alone."""
    return _json(_version(subject, number).entry.definition)


@router.post("/subjects/{subject}")
async def look_up(subject: str, request: Request) -> JSONResponse:
    """The version of a subject that a schema is, for clients that have the schema and want its id."""
    versions = _versions(subject)
    schema = await _asked(request)
    for version in versions:
        if _canonical(version.entry.definition) == _canonical(schema):
            return _json(version.as_dict())
    raise RegistryError(40403, "Schema not found")


@router.get("/schemas")
async def all_schemas(subjectPrefix: str = "", latestOnly: bool = False) -> JSONResponse:  # noqa: N803
    """Every version of every subject."""
    found = [
        version.as_dict()
        for name, versions in subjects().items()
        if name.startswith(subjectPrefix)
        for version in (versions[-1:] if latestOnly else versions)
    ]
    return _json(found)


@router.get("/schemas/types")
async def types() -> JSONResponse:
    """Kinds of schemas."""
    return _json(["AVRO"])


@router.get("/schemas/ids/{schema_id}")
async def by_id(schema_id: str) -> JSONResponse:
    """The schema of an id: what every deserializer asks."""
    return _json({"schema": _by_id(schema_id).text})


@router.get("/schemas/ids/{schema_id}/schema")
async def by_id_alone(schema_id: str) -> JSONResponse:
    """The schema of an id, not wrapped."""
    return _json(_by_id(schema_id).entry.definition)


@router.get("/schemas/ids/{schema_id}/versions")
async def versions_by_id(schema_id: str) -> JSONResponse:
    """Subjects and versions that have the schema of an id."""
    entry = _by_id(schema_id).entry
    return _json([{"subject": one.subject, "version": one.number} for one in versions_of(entry.schema_id)])


@router.get("/schemas/ids/{schema_id}/subjects")
async def subjects_by_id(schema_id: str) -> JSONResponse:
    """Subjects that have the schema of an id."""
    entry = _by_id(schema_id).entry
    return _json([one.subject for one in versions_of(entry.schema_id)])


@router.get("/config")
@router.get("/config/{subject}")
async def config(subject: str | None = None) -> JSONResponse:
    """The rule that new schemas must keep."""
    if subject is not None:
        _versions(subject)
    return _json({"compatibilityLevel": LEVEL})


@router.get("/mode")
@router.get("/mode/{subject}")
async def mode(subject: str | None = None) -> JSONResponse:
    """Schemas are read here, and changed in the repository."""
    if subject is not None:
        _versions(subject)
    return _json({"mode": "READONLY"})


@router.post("/compatibility/subjects/{subject}/versions")
@router.post("/compatibility/subjects/{subject}/versions/{number}")
async def compatibility(
    subject: str, request: Request, number: str | None = None, verbose: bool = False
) -> JSONResponse:
    """Whether a schema reads what a version (none: every version) has written."""
    compared = _versions(subject) if number is None else [_version(subject, number)]
    schema = await _asked(request)
    found = [
        f"version {one.number}: {reason}"
        for one in compared
        for reason in incompatibilities(schema, one.entry.definition)
    ]
    return _json({"is_compatible": not found, **({"messages": found} if verbose else {})})


@router.api_route("/subjects/{path:path}", methods=["POST", "PUT", "DELETE"])
@router.api_route("/config{path:path}", methods=["POST", "PUT", "DELETE"])
@router.api_route("/mode{path:path}", methods=["POST", "PUT", "DELETE"])
async def refused(path: str) -> JSONResponse:
    """Schemas get into the registry by a change to the repository."""
    raise RegistryError(40301, "This registry is read only: schemas are changed in schemas/avro.")


def _canonical(schema: Any) -> str:
    return str(fastavro.schema.to_parsing_canonical_form(fastavro.parse_schema(schema)))
