"""A plan as SQL text, one file an engine."""
