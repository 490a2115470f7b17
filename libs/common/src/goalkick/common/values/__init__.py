"""Value types that every event is made of: money, time, ids, instruments."""
