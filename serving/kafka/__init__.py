"""The scorer: from feature vectors on a topic to predictions on another."""
