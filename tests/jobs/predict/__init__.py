"""Tests of the writer of online rows."""
