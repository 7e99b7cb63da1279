"""Rewrites the golden files."""

from tests.golden import write

write()
