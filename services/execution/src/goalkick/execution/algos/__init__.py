"""Algos: how a large or conditional order is worked as child orders; one algorithm a file."""
