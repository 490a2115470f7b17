"""Settings: typed, frozen, checked at start-up."""
