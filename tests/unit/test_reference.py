"""The generated reference is what the code says, whole, and sound as documents."""

import json
import re
import warnings
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]
from avro.schema import make_avsc_object
from click.testing import CliRunner

from infra.settings import ChannelSettings, NotificationRule, QuietHours, Settings, VenueSettings
from infra.settings.loading import environment_names
from kandle.__main__ import COMMANDS, cli
from kandle.reference.asyncapi import document
from kandle.reference.pages import pages
from kandle.reference.settings import fields_of
from schemas.registry import CURRENT
from schemas.topics import TOPICS

FOLDER = Path(__file__).parents[2] / "docs" / "reference"
PAGES = pages(cli)


@pytest.mark.parametrize("name", PAGES)
def test_the_page_is_what_the_code_says(name: str) -> None:
    file, make = PAGES[name]
    assert (FOLDER / file).read_text() == make(), "run: kandle reference --out docs/reference"


@pytest.mark.parametrize("model", [Settings, VenueSettings, ChannelSettings, QuietHours, NotificationRule])
def test_every_setting_says_what_it_is(model: Any) -> None:
    assert [path for path, field in fields_of(model) if not field.description] == []


def test_every_environment_name_stands_in_the_reference() -> None:
    text = (FOLDER / "settings.md").read_text()
    named = [name.replace("__BINANCE__", "__NAME__") for name in environment_names()]
    assert [name for name in named if f"`{name}`" not in text] == []


def test_every_command_stands_in_the_reference() -> None:
    titles = re.findall(r"^## kandle (\S+)$", (FOLDER / "commands.md").read_text(), re.MULTILINE)
    assert titles == list(COMMANDS)


def test_every_topic_and_record_stands_in_the_reference() -> None:
    text = (FOLDER / "topics.md").read_text()
    assert all(f"| `{topic.base_name}` |" in text for topic in TOPICS)
    assert re.findall(r"^### (\w+)$", text, re.MULTILINE) == [entry.record.__name__ for entry in CURRENT]


def test_the_asyncapi_document_is_one_of_version_3() -> None:
    with warnings.catch_warnings():
        # The library's own models shadow an attribute of pydantic's.
        warnings.simplefilter("ignore")
        from asyncapi3.models.asyncapi import AsyncAPI3  # type: ignore[import-untyped]

    read = yaml.safe_load((FOLDER / "asyncapi.yaml").read_text())
    assert read == json.loads(json.dumps(document()))
    found = AsyncAPI3.model_validate(read)
    assert len(found.channels) == len(TOPICS) + sum(topic.dead_letters for topic in TOPICS)
    assert len(found.operations) == 2 * len(TOPICS)


def test_the_asyncapi_document_refers_to_what_is_there() -> None:
    whole = document()

    def check(node: Any) -> int:
        if isinstance(node, list):
            return sum(map(check, node))
        if not isinstance(node, dict):
            return 0
        if "$ref" in node:
            place: Any = whole
            for part in node["$ref"].removeprefix("#/").split("/"):
                place = place[part]
            return 1
        return sum(map(check, node.values()))

    assert check(whole) > 4 * len(TOPICS)


def test_the_schemas_of_the_asyncapi_document_are_avro() -> None:
    schemas = yaml.safe_load((FOLDER / "asyncapi.yaml").read_text())["components"]["schemas"]
    for entry in CURRENT:
        found = make_avsc_object(schemas[entry.record.__name__]["schema"])
        assert json.loads(str(found))["name"] == entry.record.__name__


def test_a_page_is_printed_and_all_are_written(tmp_path: Path) -> None:
    printed = CliRunner().invoke(cli, ["reference", "errors"])
    assert printed.output == (FOLDER / "errors.md").read_text()
    written = CliRunner().invoke(cli, ["reference", "--out", str(tmp_path)])
    assert written.exit_code == 0
    assert {path.name for path in tmp_path.iterdir()} == {file for file, _ in PAGES.values()}


@pytest.mark.parametrize("arguments", [[], ["topics", "--out", "there"]])
def test_a_page_or_a_folder_is_wanted(arguments: list[str]) -> None:
    assert CliRunner().invoke(cli, ["reference", *arguments]).exit_code == 2
