"""What the runtime needs from outside, as small protocols; adapters implement them."""
