"""What a network that ends early is made of: where it can, its head, how that is fitted."""
