"""What every Goalkick service shares."""
