"""Goalkick's ingest service: a venue's data becomes market events, exact and in order."""
