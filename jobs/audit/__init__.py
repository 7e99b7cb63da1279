"""What was served against what was true: the comparison, its causes, and one event explained."""
