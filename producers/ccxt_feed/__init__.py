"""Every venue that ccxt speaks to, as a feed; what differs between them is data, taken from ccxt's own table.

`capabilities` knows what a venue has, `exchange` is its contract, `unified` makes records of ccxt's unified
structures, `clients` sets up ccxt's objects, `calls` makes REST calls with them, `connection` runs their
streams, behind a watchdog each, and polls what a venue does not stream. ccxt is imported when somebody
names a venue that has no file of its own.
"""
