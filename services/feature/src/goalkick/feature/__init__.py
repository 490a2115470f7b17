"""Goalkick's feature service: bars become feature vectors, bar by bar."""
