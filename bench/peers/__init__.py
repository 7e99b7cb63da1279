"""What a user would pick instead: the same job in Quix Streams and in Bytewax, and in Headrace.

The job: count and mean of the amounts of a customer over 1, 7 and 30 days, for every transaction; JSON from Kafka, JSON to Kafka.
Modules that say so run in ``.venv-bench`` and import nothing of Headrace.
"""
