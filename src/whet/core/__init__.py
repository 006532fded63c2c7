"""Shapes and rules that every layer shares: stdlib, numpy and msgspec only."""
