"""A network as it flows: its blocks, its layers, what is left of the original, and where it may be cut."""
