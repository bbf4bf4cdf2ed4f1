"""The order of venues in the database, by which the view `ohlcv_data` chooses one for each symbol."""

from __future__ import annotations

from collections.abc import Sequence

from sinks.database import Connection


async def write_order(db: Connection, venues: Sequence[str]) -> None:
    """Make the table say what the settings say; nothing is written where it does so already."""
    names = list(dict.fromkeys(venues))
    async with db.transaction():
        await db.execute("DELETE FROM kandle.venue_order WHERE NOT venue = ANY(%s)", (names,))
        await db.execute(
            "INSERT INTO kandle.venue_order AS o (venue, place) "
            "SELECT venue, place FROM unnest(%s::text[]) WITH ORDINALITY AS r(venue, place) "
            "ON CONFLICT (venue) DO UPDATE SET place = excluded.place WHERE o.place <> excluded.place",
            (names,),
        )
