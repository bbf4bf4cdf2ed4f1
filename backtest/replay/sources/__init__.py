"""Where a replay takes its records from; each file is a source as `backtest.replay.source` defines it."""
