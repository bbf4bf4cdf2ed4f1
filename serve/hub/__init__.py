"""Subscriptions: one tail of the topics, fanned out to WebSocket and SSE clients."""
