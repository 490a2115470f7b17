"""Fits models on served features. Needs the extra `training`; never part of what serves."""
