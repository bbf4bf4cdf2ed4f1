"""Price alerts: watched trade by trade, changed at run time."""
