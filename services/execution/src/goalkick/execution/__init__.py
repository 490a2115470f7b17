"""Goalkick's execution service."""
