"""Venues: the fake one. Real ones are adapters of execution, which alone sees their keys."""
