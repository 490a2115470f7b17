"""The archive: history on disk, fetched from venues or taken over from files, and checked.

Parquet files in folders by venue, instrument and month, which other tools read as one table, each
series with a manifest of what it holds and what is missing. Nothing is ever invented.
"""
