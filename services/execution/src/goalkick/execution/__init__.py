"""Goalkick's execution service: approved orders go to the venue, and its answers become reports."""
