"""Smaller and faster models, and what they cost; a method is a file of its own."""
