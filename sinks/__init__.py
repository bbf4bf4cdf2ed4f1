"""Topics to the world: the database and notification channels."""
