"""Names of channels as users write them."""

from typing import Any, Final

import click

from producers.exchange import CHANNELS, Channel

_NAMES: Final[dict[str, tuple[Channel, ...]]] = {
    **{channel: (channel,) for channel in CHANNELS},
    **{channel.removesuffix("s"): (channel,) for channel in CHANNELS},
    "all": CHANNELS,
}


class ChannelNames(click.ParamType):
    """Channels, comma separated, in the singular or the plural, in any case."""

    name = "channels"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[Channel, ...]:
        """The channels, each once, in the order in which they were named."""
        found: dict[Channel, None] = {}
        for word in str(value).split(","):
            name = word.strip().lower().replace("-", "_")
            if name not in _NAMES:
                self.fail(f"{word.strip()!r} is no channel; there are {', '.join(CHANNELS)}", param, ctx)
            found.update(dict.fromkeys(_NAMES[name]))
        return tuple(found)
