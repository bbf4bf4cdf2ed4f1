"""The world to topics: venues, their sessions, and the simulator."""
