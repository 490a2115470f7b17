"""Venues outside: one adapter over ccxt, and what it must know of each venue's own language."""
