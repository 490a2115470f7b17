"""What surrounds the cores: pumps, snapshots, health, start and stop."""
