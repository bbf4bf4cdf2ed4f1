"""Commands that go on without a terminal: what they are, how far they are, what came of them."""
