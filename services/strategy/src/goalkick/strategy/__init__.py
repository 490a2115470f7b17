"""Goalkick's strategy service."""
