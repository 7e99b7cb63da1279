"""Training sets, models and metrics."""
