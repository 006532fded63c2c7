"""Engines in processes of their own: one that dies or hangs takes no server with it."""
