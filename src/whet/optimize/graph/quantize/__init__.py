"""Post-training quantisation: passes over graphs, and the pure planning around them."""
