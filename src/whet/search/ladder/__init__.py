"""The climb: which candidates are proposed, made, timed and judged, in order of cost."""
