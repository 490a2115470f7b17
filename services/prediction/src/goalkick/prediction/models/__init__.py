"""Ways to serve a model; each is an adapter of the port `Model`."""
