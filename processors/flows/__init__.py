"""Values of quotes and order books, sampled at time marks."""
