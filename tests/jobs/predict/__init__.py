"""Tests of batch predictions."""
