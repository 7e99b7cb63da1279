"""Events from files to topics."""
