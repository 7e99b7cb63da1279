"""From columns to a model's input."""
