"""Goalkick's prediction service: feature vectors become forecasts of a trained model."""
