"""Adapters of the partitioned log: Kafka, and its fake in memory."""
