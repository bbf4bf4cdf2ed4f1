"""The venues: one folder each, one file a market; found by `producers.markets.exchanges`."""
