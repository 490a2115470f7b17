"""Goalkick's feature service."""
