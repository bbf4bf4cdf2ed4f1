"""The docs site builds without a warning, has every page in its navigation, and shows code that runs."""

import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
import yaml  # type: ignore[import-untyped]

from kandle.__main__ import cli

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
TUTORIAL = sorted((DOCS / "tutorial").glob("*.md"))
RESOURCE = re.compile(r'<(?:script|link|img|iframe|source)\b[^>]*?(?:src|href)="(?:https?:)?//[^"]+"[^>]*>')


def pages_of(node: Any) -> Iterator[str]:
    """The files that a navigation names."""
    if isinstance(node, str):
        yield node
    else:
        for each in node.values() if isinstance(node, dict) else node:
            yield from pages_of(each)


def test_every_page_stands_once_in_the_navigation() -> None:
    named = list(pages_of(yaml.safe_load((ROOT / "mkdocs.yml").read_text())["nav"]))
    written = [str(path.relative_to(DOCS)) for path in DOCS.rglob("*.md")]
    assert sorted(named) == sorted(written)


def test_every_decision_stands_in_the_list() -> None:
    listed = re.findall(r"\]\((\d{3}-[^)]+\.md)\)", (DOCS / "adr" / "index.md").read_text())
    assert listed == sorted(path.name for path in (DOCS / "adr").glob("[0-9]*.md"))


def test_the_site_builds_with_sound_links_and_asks_no_other_host(tmp_path: Path) -> None:
    shutil.copy(ROOT / "mkdocs.yml", tmp_path)
    shutil.copytree(DOCS, tmp_path / "docs")
    built = subprocess.run(
        [sys.executable, "-m", "zensical", "build", "--strict"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert built.returncode == 0, re.sub(r"\x1b\[[0-9;]*m", "", built.stdout + built.stderr)
    made = list((tmp_path / "build" / "site").rglob("*.html"))
    assert len(made) > 50
    asked = {found for page in made for found in RESOURCE.findall(page.read_text())}
    assert {found for found in asked if 'rel="canonical"' not in found} == set()


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("page", TUTORIAL, ids=lambda page: page.stem)
def test_the_tutorials_programs_are_the_examples(page: Path) -> None:
    known = {path.read_text() for path in (ROOT / "examples").glob("*.py")}
    assert [code for code in blocks(page, "python") if code not in known] == []


@pytest.mark.parametrize(
    "page", [*TUTORIAL, DOCS / "examples.md", ROOT / "README.md"], ids=lambda page: page.stem
)
def test_commands_that_a_reader_copies_are_commands(page: Path) -> None:
    lines = [line for block in blocks(page, "sh") for line in block.replace("\\\n", "").splitlines()]
    asked = [words for line in lines if (words := shlex.split(line, comments=True))[:1] == ["kandle"]]
    assert asked or page.stem == "examples"
    for words in asked:
        end = next((place for place, word in enumerate(words) if word in {">", "|"}), len(words))
        parse(cli, words[1:end])


def parse(command: click.Command, words: list[str]) -> None:
    """Parse without running.

    Raises:
        click.UsageError: The command does not take these words.
    """
    if isinstance(command, click.Group):
        if command.invoke_without_command and not words:
            return
        below = command.get_command(click.Context(command), words[0])
        assert below is not None, words
        parse(below, words[1:])
        return
    try:
        command.make_context(command.name, list(words))
    except click.BadParameter as error:
        # The reader has the files; here they are not.
        if "does not exist" not in error.message:
            raise
