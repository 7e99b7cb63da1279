"""Retraining: once, as it is wanted, by itself, when something is a reason to, and on to production as the gate lets it."""
