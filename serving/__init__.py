"""What serves: the model registry, the predictor and the scorer."""
