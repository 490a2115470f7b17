"""Adapters: the outside world behind our ports."""
