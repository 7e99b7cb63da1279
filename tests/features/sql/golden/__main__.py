"""Rewrites the golden files."""

from tests.features.sql.golden import write

write()
