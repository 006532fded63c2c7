"""Which requests run together, when, on which variant, and which not at all; pure: time is an argument."""
