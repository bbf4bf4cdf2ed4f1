"""What a notification says: templates by type, part and kind of channel."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import jinja2
import jinja2.sandbox

from schemas.errors import ConfigurationError, ValidationError
from schemas.records import Severity
from sinks.notifications.occasion import Occasion
from sinks.notifications.wording import FILTERS

Part = Literal["subject", "text", "html"]
PARTS: Final[tuple[Part, ...]] = ("subject", "text", "html")
SUFFIX: Final = ".j2"
FALLBACK: Final = "default"
"""Templates of what has none of its own."""
STORM: Final = "many"
DIGEST: Final = "digest"
SUBJECT_CHARACTERS: Final = 200
SHOWN: Final = 5
"""Of a storm, so many of the first and as many of the last are named."""
SHOWN_OF_DIGEST: Final = 50


@dataclass(frozen=True, slots=True)
class Message:
    """What a channel delivers.

    Attributes:
        sender: Address or name that it comes from, for channels that show one; None for the channel's own.
        subject: One line.
        text: Plain text.
        html: The same for channels that take HTML.
        occasions: What it is about, for channels that machines read; of many, those that it names.
        count: How many occasions it stands for.
        severity: Of the worst of them.
    """

    sender: str | None
    subject: str
    text: str
    html: str
    occasions: tuple[Occasion, ...] = ()
    count: int = 1
    severity: Severity = "info"


class Templates:
    """Renders messages. Templates cannot reach anything but what they are given (Jinja2's sandbox).

    A template is found by the most telling name: `TYPE.KIND.PART.j2`, `TYPE.PART.j2`,
    `default.KIND.PART.j2`, `default.PART.j2`; each is looked for in the user's folder, then in the package.

    Args:
        folder: The user's own templates; None for none.
        sender: As `Message.sender`.

    Raises:
        ConfigurationError: The folder is none, or holds a template that cannot be read.
    """

    def __init__(self, folder: Path | None = None, sender: str | None = None) -> None:
        self._sender = sender
        own: jinja2.FileSystemLoader | None = None
        loaders: list[jinja2.BaseLoader] = [jinja2.PackageLoader("sinks.notifications")]
        if folder is not None:
            if not folder.is_dir():
                raise ConfigurationError(f"notifications.templates names {folder}, which is not a folder")
            own = jinja2.FileSystemLoader(folder)
            loaders.insert(0, own)
        self._environment = jinja2.sandbox.ImmutableSandboxedEnvironment(
            loader=jinja2.ChoiceLoader(loaders),
            undefined=jinja2.StrictUndefined,
            autoescape=lambda name: name is not None and name.endswith(f".html{SUFFIX}"),
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._environment.filters.update(FILTERS)
        for name in own.list_templates() if own is not None else ():
            if name.endswith(SUFFIX):
                self._compile(name)

    def names(self) -> list[str]:
        """File names of all templates."""
        return self._environment.list_templates(filter_func=lambda name: name.endswith(SUFFIX))

    def types(self) -> list[str]:
        """All types that have templates."""
        return sorted({name.partition(".")[0] for name in self.names()} - {"layout"})

    def render(self, occasion: Occasion, channel_kind: str) -> Message:
        """The message of one occasion; the same for every repeat of it.

        Args:
            occasion: What it is about.
            channel_kind: As `Channel.kind`.

        Raises:
            ValidationError: A template wants what the occasion lacks, or fails.
        """
        return self._message(occasion.type, channel_kind, _variables(occasion), (occasion,))

    def render_many(self, occasions: Sequence[Occasion], count: int, channel_kind: str) -> Message:
        """One message for a storm.

        Args:
            occasions: The first and last of them, in order of time; at least one.
            count: How many there were.
            channel_kind: As `Channel.kind`.

        Raises:
            ValidationError: As `render`.
        """
        shown = list(occasions)
        if len(shown) > 2 * SHOWN:
            shown = [*shown[:SHOWN], *shown[-SHOWN:]]
        return self._list_of(STORM, shown, count, occasions, channel_kind)

    def render_digest(
        self, occasions: Sequence[Occasion], channel_kind: str, count: int | None = None
    ) -> Message:
        """One message for what was too old to be told singly.

        Args:
            occasions: At least one, in order of time: all, or the first and last of them.
            channel_kind: As `Channel.kind`.
            count: How many there were; None: these.

        Raises:
            ValidationError: As `render`.
        """
        shown = occasions[-SHOWN_OF_DIGEST:]
        return self._list_of(DIGEST, shown, count or len(occasions), occasions, channel_kind)

    def _list_of(
        self, name: str, shown: Sequence[Occasion], count: int, all_: Sequence[Occasion], channel_kind: str
    ) -> Message:
        entries = [
            {"time": each.event_time, "subject": self._subject(each, channel_kind), "severity": each.severity}
            for each in shown
        ]
        variables = {
            "count": count,
            "entries": entries,
            "first_time": all_[0].event_time,
            "last_time": all_[-1].event_time,
            "severity": max((each.severity for each in all_), key=("info", "warning", "error").index),
        }
        return self._message(name, channel_kind, variables, tuple(shown), count)

    def _subject(self, occasion: Occasion, channel_kind: str) -> str:
        return _line(self._part(occasion.type, "subject", channel_kind, _variables(occasion)))

    def _message(
        self,
        name: str,
        channel_kind: str,
        variables: Mapping[str, Any],
        about: tuple[Occasion, ...],
        count: int = 1,
    ) -> Message:
        subject = _line(self._part(name, "subject", channel_kind, variables))
        text = self._part(name, "text", channel_kind, {**variables, "subject": subject}).strip()
        html = self._part(name, "html", channel_kind, {**variables, "subject": subject, "text": text})
        return Message(self._sender, subject, text, html.strip(), about, count, variables["severity"])

    def _part(self, type_: str, part: Part, channel_kind: str, variables: Mapping[str, Any]) -> str:
        names = [
            f"{type_}.{channel_kind}.{part}{SUFFIX}",
            f"{type_}.{part}{SUFFIX}",
            f"{FALLBACK}.{channel_kind}.{part}{SUFFIX}",
            f"{FALLBACK}.{part}{SUFFIX}",
        ]
        found: str | None = names[0]
        try:
            template = self._environment.select_template(names)
            found = template.name
            return template.render(variables)
        except jinja2.UndefinedError as error:
            raise ValidationError(
                f"template {found} for {type_!r}: {error.message}; it may use {_listed(variables)}"
            ) from None
        except jinja2.TemplateSyntaxError as error:
            # One that was changed since the start.
            raise ValidationError(f"template {error.name} cannot be read: {error.message}") from None
        except (jinja2.TemplateError, ArithmeticError, LookupError, TypeError, ValueError) as error:
            raise ValidationError(f"template {found} for {type_!r} fails: {error}") from None

    def _compile(self, name: str) -> None:
        try:
            self._environment.get_template(name)
        except jinja2.TemplateSyntaxError as error:
            raise ConfigurationError(
                f"template {name} cannot be read: {error.message} (line {error.lineno})"
            ) from None
        except (OSError, UnicodeError) as error:
            raise ConfigurationError(f"template {name} cannot be read: {error}") from None


def _variables(occasion: Occasion) -> dict[str, Any]:
    """What a template may use: the occasion's own words, and what its fields add to them."""
    return {**occasion.fields, **occasion.words(), "time": occasion.event_time}


def _line(text: str) -> str:
    """A text as one line that is fit for a header of a mail."""
    line = " ".join(text.split())
    return line if len(line) <= SUBJECT_CHARACTERS else f"{line[: SUBJECT_CHARACTERS - 1]}…"


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(names))
