"""Goalkick's risk service: signals become approved or refused orders; nothing trades without it."""
