"""REST of every venue that ccxt speaks to: connections checked, tickers of many venues, past candles.

`names` finds a venue by any of its names, `client` makes ccxt's object for it, `errors` puts its errors into
our tree, `rest_venue` guards its calls, `venue_manager` asks many venues at once. ccxt is imported when
the first client is made: it takes a second.
"""
