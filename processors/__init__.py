"""Topics to topics: Faust agents that make candles, indicators and signals."""
