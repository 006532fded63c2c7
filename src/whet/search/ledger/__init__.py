"""What searches remember on disk: trials, what makes them the same, and where they lie."""
