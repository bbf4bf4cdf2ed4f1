"""The exchange that runs on this machine: captures played back, or a seeded market, over a real WebSocket."""
