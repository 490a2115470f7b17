"""Goalkick's ingest service."""
