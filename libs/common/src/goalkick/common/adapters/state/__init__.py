"""Where snapshots are kept: SQLite on a disk, or the memory of a test."""
