"""The venues: one file each, found by `producers.exchange.exchanges`."""
