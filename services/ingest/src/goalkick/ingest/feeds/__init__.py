"""Where market events come from: recorded candles, a simulated market, a venue over ccxt."""
