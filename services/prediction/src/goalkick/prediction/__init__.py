"""Goalkick's prediction service."""
