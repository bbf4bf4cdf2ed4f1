"""commands.md: every command with what its --help says."""

import inspect
from collections.abc import Iterator

import click

from kandle.reference.markdown import code, made_by, page, table


def commands_page(root: click.Group) -> str:
    """All commands below a root, in the order of its help page.

    Args:
        root: The `kandle` command.
    """
    return page(
        "Commands",
        "`kandle COMMAND --help` prints the same. Results go to standard output, everything else to "
        "standard error. Exit codes: 0 done; 1 it could not be done; 2 arguments, settings or the "
        "installation are wrong; 130 interrupted. What else a command returns, it says below.",
        made_by("commands"),
        *_commands(root, click.Context(root, info_name="kandle")),
    )


def _commands(group: click.Group, context: click.Context) -> Iterator[str]:
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if command is None or command.hidden:
            continue
        below = click.Context(command, info_name=name, parent=context)
        yield _command(command, below)
        if isinstance(command, click.Group):
            yield from _commands(command, below)


def _command(command: click.Command, context: click.Context) -> str:
    depth = "##" if context.parent and context.parent.parent is None else "###"
    usage = " ".join([context.command_path, *command.collect_usage_pieces(context)])
    parts = [f"{depth} {context.command_path}", f"```\n{usage}\n```", _prose(command.help or "")]
    rows = [
        (code(", ".join(option.opts + option.secondary_opts)), _value(option), _help(option, context))
        for option in command.params
        if isinstance(option, click.Option) and not option.hidden
    ]
    if rows:
        parts.append(table(("option", "value", ""), rows))
    return "\n\n".join(part for part in parts if part)


def _prose(text: str) -> str:
    """Help as Markdown: paragraphs are joined, what click is told to leave as it is becomes a block."""
    found = []
    for paragraph in inspect.cleandoc(text).split("\n\n"):
        lines = paragraph.strip("\n").splitlines()
        if lines and lines[0].strip() == "\b":
            found.append("```text\n" + inspect.cleandoc("\n".join(lines[1:])) + "\n```")
        else:
            found.append(_escaped(" ".join(line.strip() for line in lines)))
    return "\n\n".join(part for part in found if part)


def _value(option: click.Option) -> str:
    if option.is_flag:
        return ""
    if isinstance(option.type, click.Choice):
        return ", ".join(code(each) for each in option.type.choices)
    repeated = ", may be repeated" if option.multiple else ""
    return f"{option.metavar or option.type.name.replace('_', ' ')}{repeated}"


def _help(option: click.Option, context: click.Context) -> str:
    said = _escaped(option.help or "")
    default = option.get_default(context, call=False)
    is_shown = option.show_default and default is not None and not callable(default)
    if option.required:
        said += " Must be given."
    return f"{said} Default: {code(default)}." if is_shown else said


def _escaped(text: str) -> str:
    """Text that is no Markdown, outside of its `code`."""
    parts = text.split("`")
    for number in range(0, len(parts), 2):
        for sign in ("*", "_", "<", "["):
            parts[number] = parts[number].replace(sign, f"\\{sign}")
    return "`".join(parts)
