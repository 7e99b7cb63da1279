"""Whether what a model sees, and says, is still what it was in training."""
