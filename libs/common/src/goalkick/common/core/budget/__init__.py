"""How much of a venue's limits is used, and who may go next: pure, with explicit time."""
