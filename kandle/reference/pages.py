"""Which pages there are, by the names that `kandle reference` takes."""

from collections.abc import Callable
from typing import Final

import click

from kandle.reference.api import api_page
from kandle.reference.asyncapi import asyncapi_text
from kandle.reference.commands import commands_page
from kandle.reference.events import errors_page, events_page
from kandle.reference.settings import settings_page
from kandle.reference.topics import topics_page

DATABASE: Final = "database"
"""The page that needs a database."""


def pages(root: click.Group) -> dict[str, tuple[str, Callable[[], str]]]:
    """File and maker of each page but that of the database.

    Args:
        root: The `kandle` command.
    """
    return {
        "settings": ("settings.md", settings_page),
        "commands": ("commands.md", lambda: commands_page(root)),
        "topics": ("topics.md", topics_page),
        "events": ("events.md", events_page),
        "errors": ("errors.md", errors_page),
        "api": ("api.md", api_page),
        "asyncapi": ("asyncapi.yaml", asyncapi_text),
    }
