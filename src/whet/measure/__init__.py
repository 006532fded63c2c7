"""Measuring: latency, quality, footprint, the machine and its limits."""
