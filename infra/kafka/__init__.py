"""Kafka: how it is spoken to, and what a process may do there."""
