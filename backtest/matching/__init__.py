"""Models of a venue: each looks at the open orders with events of one kind, and has them executed."""
