"""The proof on a cluster: `python -m tests.e2e.cluster`, or `make e2e`."""
