"""Published recommenders that need torch or river, for the benchmark to compare with; nothing serves them."""
