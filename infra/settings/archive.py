"""Where topics are kept as files."""

import re
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field, PositiveFloat, PositiveInt, SecretStr

from infra.settings.section import NameList, Section


def _place(url: str) -> str:
    if not re.match(r"(file:///|s3://[^/]+|gs://[^/]+)", url):
        raise ValueError(
            f"an archive is at file:///path, s3://bucket/prefix or gs://bucket/prefix; got {url!r}"
        )
    return url.rstrip("/")


class ArchiveSettings(Section):
    """Where the archive is, and how large its files get. Only the sink named archive writes there."""

    url: Annotated[str, AfterValidator(_place)] | None = Field(
        None, description="file:///path, s3://bucket/prefix or gs://bucket/prefix; unset: under data_dir"
    )
    topics: NameList = Field(
        default_factory=list,
        description="topics that are kept; unset: all that tell of markets, and what the system says",
    )
    flush_s: PositiveFloat = Field(60.0, description="records wait no longer than this for company")
    max_rows: PositiveInt = Field(300_000, description="rows written at once, at most")
    max_mb: PositiveInt = Field(16, description="the same in megabytes as Kafka holds them: compressed")
    endpoint: str | None = Field(None, description="of S3: another than Amazon's, as http://localhost:9000")
    region: str | None = Field(None, description="of S3; unset: AWS_REGION, or us-east-1")
    access_key_id: SecretStr | None = Field(None, description="of S3; unset: the usual AWS variables")
    secret_access_key: SecretStr | None = Field(None, description="of S3; unset: the usual AWS variables")
    service_account: Path | None = Field(
        None, description="of Google: key file; unset: the application's default credentials"
    )
