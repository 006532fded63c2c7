"""Tokens of a vision transformer that are merged on the way, and what that takes behind them."""
