"""Which channels of a network belong together, in which order they go, and how they are taken out."""
