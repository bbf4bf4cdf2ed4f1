"""The pages of the alerts: whole, and with commands that there are."""

import re
import shlex
from pathlib import Path

import click
import pytest
import yaml  # type: ignore[import-untyped]

from kandle.__main__ import cli
from tests.markdown_blocks import fenced

ROOT = Path(__file__).parents[2]
PAGES = sorted((ROOT / "docs" / "runbooks").glob("*.md"))
RULES = ROOT / "infra" / "prometheus" / "rules"


def test_each_alert_has_its_page_and_each_page_its_alert() -> None:
    alerts = {
        rule["alert"]
        for file in RULES.glob("*.yml")
        for group in yaml.safe_load(file.read_text())["groups"]
        for rule in group["rules"]
        if "alert" in rule
    }
    assert {page.stem for page in PAGES} == alerts


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_each_page_answers_the_same_questions(page: Path) -> None:
    text = page.read_text()
    assert text.startswith(f"# {page.stem}\n")
    headings = re.findall(r"^## (.+)$", text, re.MULTILINE)
    assert headings == ["What is lost", "Look", "Mend", "Over when"]
    for target in re.findall(r"\]\(([^)]+)\)", text):
        assert (page.parent / target).exists(), target


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_each_command_of_a_page_is_one_of_ours_with_its_options(page: Path) -> None:
    lines = [line for block in fenced(page, "sh") for line in block.splitlines()]
    ours = [shlex.split(line) for line in lines if line.startswith("kandle ")]
    assert ours or fenced(page, "promql")
    inline = re.findall(r"`kandle ((?:sink |notify |dlq )?[a-z]+)", page.read_text())
    for words in [*(words[1:] for words in ours), *(name.split() for name in inline)]:
        _parse(cli, words)


def _parse(command: click.Command, words: list[str]) -> None:
    context = click.Context(command)
    while isinstance(command, click.Group) and words:
        found = command.get_command(context, words[0])
        assert found is not None, words
        command, words = found, words[1:]
        context = click.Context(command, parent=context)
    known = {option for each in command.params for option in each.opts}
    assert {word for word in words if word.startswith("--")} <= known, words
