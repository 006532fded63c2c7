"""Weights found in closed form from what layers take and should give; no gradients."""
