"""Feast objects, loaded and compiled to plans; `load` imports Feast."""
