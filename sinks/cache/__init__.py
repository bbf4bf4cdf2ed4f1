"""The newest of everything at hand: in Redis or Valkey, or in memory."""
