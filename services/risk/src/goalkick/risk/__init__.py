"""Goalkick's risk service."""
