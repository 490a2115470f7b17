"""Pure cores: state machines without I/O, clock or randomness."""
