"""What answers: the model registry and the scorer."""
