"""The health of this set-up: its services, the loop that checks them, events, and what REST tells of it."""
