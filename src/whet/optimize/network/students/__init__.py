"""Networks that may stand in the original's place: which there are, and how one is built."""
