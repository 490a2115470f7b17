"""Ways for events to travel between cores."""
