"""Features over history whose windows a Flink cluster computes."""
