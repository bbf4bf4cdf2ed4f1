"""What a checkpoint would hold of a state, without blocks and manifests."""

from __future__ import annotations

from processors.engine.pages import State, pages_of


def saved(state: State) -> dict[str, bytes]:
    """All pages, encoded; from then on all of them count as unchanged."""
    return {page.name: page.encode() for page in pages_of(state)}


class Shelf:
    """Saves of one state, each of which encodes only what has changed.

    Attributes:
        pages: What was saved last.
        encoded: Names of the pages that the last save encoded.
    """

    def __init__(self) -> None:
        self.pages: dict[str, bytes] = {}
        self.encoded: list[str] = []

    def save(self, state: State) -> dict[str, bytes]:
        """Save, and make sure that what counts as unchanged is unchanged."""
        found: dict[str, bytes] = {}
        self.encoded = []
        for name, encode, changed in pages_of(state):
            if changed or name not in self.pages:
                self.encoded.append(name)
                found[name] = encode()
            else:
                found[name] = self.pages[name]
        self.pages = found
        assert saved(state) == found
        return found
