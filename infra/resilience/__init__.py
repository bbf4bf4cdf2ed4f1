"""What an outgoing call passes on its way: one part a file, put together in `call_guard`."""
