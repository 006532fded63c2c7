"""From what the user gave to what a search works on: samples in parts, a graph, a setup."""
