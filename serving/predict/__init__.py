"""From decoded messages to predictions."""
