"""Strategy: features and forecasts in, targets out."""
