"""Predictions that have met what happened, and how right they were."""
