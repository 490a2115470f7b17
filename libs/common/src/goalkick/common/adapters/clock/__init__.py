"""What time it is: the system's, or what a test says."""
