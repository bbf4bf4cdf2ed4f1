"""Bar charts as SVG: text alone, the same bytes for the same values, readable in light and dark."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Final

WIDTH: Final = 720
LABELS: Final = 230
"""Pixels left of the bars."""
VALUES: Final = 90
"""Pixels right of the longest bar."""
BAR: Final = 18
GAP: Final = 4
BETWEEN: Final = 12
HEAD: Final = 44
LEGEND: Final = 24
LETTER: Final = 6.6
"""Pixels that a letter takes, about."""
STYLE: Final = (
    "text{font:13px system-ui,sans-serif;fill:#1f2328}.t{font-weight:600}.k{fill:#59636e}"
    ".p{fill:#fff;stroke:#d1d9e0}.b0{fill:#0a5bc4}.b1{fill:#6e7781}.b2{fill:#b35900}"
    "@media(prefers-color-scheme:dark){text{fill:#f0f6fc}.k{fill:#9198a1}"
    ".p{fill:#0d1117;stroke:#3d444d}.b0{fill:#4493f8}.b1{fill:#8b949e}.b2{fill:#e09b43}}"
)


@dataclass(frozen=True, slots=True)
class Group:
    """Bars that belong together: a value a series, None where there is none."""

    label: str
    values: tuple[float | None, ...]


@dataclass(frozen=True, slots=True)
class Chart:
    """Horizontal bars from zero.

    Attributes:
        name: Of the file.
        title: What is shown.
        unit: Of the values.
        groups: From top to bottom.
        series: Names of the bars of a group, in the order of their values; one name needs no legend.
        marked: Labels of the groups whose only bar is ours; the others are drawn in grey.
    """

    name: str
    title: str
    unit: str
    groups: Sequence[Group]
    series: tuple[str, ...] = ("",)
    marked: frozenset[str] = frozenset()

    @property
    def description(self) -> str:
        """All values in words, for who cannot see the bars."""
        told = []
        for group in self.groups:
            pairs = zip(self.series, group.values, strict=True)
            values = [f"{name} {short(value)}".strip() for name, value in pairs if value is not None]
            told.append(f"{group.label}: {', '.join(values)}")
        return f"Bars, in {self.unit}. {'; '.join(told)}."

    def svg(self) -> str:
        """The picture."""
        several = len(self.series) > 1
        parts, top = [], HEAD + (LEGEND if several else 0)
        if several:
            parts += self._legend()
        most = max((value for group in self.groups for value in group.values if value is not None), default=0)
        scale = (WIDTH - LABELS - VALUES) / most if most else 0
        for group in self.groups:
            shown = [(number, value) for number, value in enumerate(group.values) if value is not None]
            height = len(shown) * (BAR + GAP) - GAP
            middle = top + height / 2 + 4.5
            parts.append(
                f'<text x="{LABELS - 10}" y="{middle:.1f}" text-anchor="end">{escape(group.label)}</text>'
            )
            for number, value in shown:
                kind = number if several else int(bool(self.marked) and group.label not in self.marked)
                width = max(value * scale, 1)
                parts.append(
                    f'<rect class="b{kind}" x="{LABELS}" y="{top}" width="{width:.1f}" height="{BAR}"/>'
                    f'<text x="{LABELS + width + 6:.1f}" y="{top + 13.5}">{short(value)}</text>'
                )
                top += BAR + GAP
            top += BETWEEN - GAP
        height = top + 6
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" '
            f'viewBox="0 0 {WIDTH} {height}" role="img" aria-labelledby="title desc">'
            f'<title id="title">{escape(self.title)}</title><desc id="desc">{escape(self.description)}</desc>'
            f"<style>{STYLE}</style>"
            f'<rect class="p" x=".5" y=".5" width="{WIDTH - 1}" height="{height - 1}" rx="6"/>'
            f'<text class="t" x="14" y="27">{escape(self.title)}</text>'
            f'<text class="k" x="{WIDTH - 14}" y="27" text-anchor="end">{escape(self.unit)}</text>'
            f"{''.join(parts)}</svg>\n"
        )

    def _legend(self) -> list[str]:
        parts, left = [], float(LABELS)
        for number, name in enumerate(self.series):
            parts.append(
                f'<rect class="b{number}" x="{left:.1f}" y="{HEAD}" width="12" height="12" rx="2"/>'
                f'<text class="k" x="{left + 17:.1f}" y="{HEAD + 10.5}">{escape(name)}</text>'
            )
            left += 17 + len(name) * LETTER + 22
        return parts


def short(value: float) -> str:
    """A number as a reader takes it in: three digits, thousands apart."""
    if value >= 1_000_000:
        return f"{value / 1e6:.3g} million"
    if value >= 1_000:
        return f"{float(f'{value:.3g}'):,.0f}"
    return f"{value:.3g}"
