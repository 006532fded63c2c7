"""What may become of a network and its blocks, with the damage of each choice, for the solver."""
