"""What a search says about its result: reasons, misses, what was left untried; pure."""
