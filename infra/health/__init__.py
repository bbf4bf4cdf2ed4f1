"""A monitor of services: what is registered is checked, and judged by one set of rules."""
