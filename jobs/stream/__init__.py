"""The Flink job: submitted and watched."""
