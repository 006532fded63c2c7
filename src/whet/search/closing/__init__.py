"""The end of a search: the finalists certified, timed afresh, chosen, packed."""
