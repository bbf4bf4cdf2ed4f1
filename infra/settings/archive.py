"""Where topics are kept as files."""

from pydantic import Field

from infra.settings.section import Section


class ArchiveSettings(Section):
    """Where the archive is."""

    url: str | None = Field(
        None, description="file:///path, s3://bucket/prefix or gs://bucket/prefix; unset: under data_dir"
    )
