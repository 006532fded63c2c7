"""Weights and values rounded to 8 bits while a network learns, as integer kernels round them."""
