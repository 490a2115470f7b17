"""The shared budget of requests to venues: one for an address or a key, whoever asks."""
