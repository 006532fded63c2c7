"""HTTP: requests translated into calls, and their results into answers. No framework, no decisions."""
