"""Feature, prediction and strategy as one service: Kafka only before and behind them."""
