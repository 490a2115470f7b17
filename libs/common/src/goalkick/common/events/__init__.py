"""The language that services speak: every event type, in families.

Facts are past tense or nouns (`BarClosed`, `Signal`), commands are imperatives (`PlaceOrder`).
"""
