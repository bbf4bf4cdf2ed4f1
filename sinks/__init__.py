"""Topics to the world: what is stored, and who is told."""
