"""Load on a service: when requests are due, asking, and what came of it."""
