"""Weights found by gradients, from what the original gives and from labels."""
