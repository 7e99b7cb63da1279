"""Tests of the bundle and its runner."""
