"""Retraining: once, as it is wanted, and by itself, when something is a reason to."""
