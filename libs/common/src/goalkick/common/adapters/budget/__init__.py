"""Leave to call a venue: out of this process's own budget, or of one shared by all copies."""
