"""Stream against batch."""
