"""What a feature means: definitions → plan → SQL text for each engine. No Kafka and no Flink here; `load` alone imports Feast."""
