"""Goalkick's embedded service."""
