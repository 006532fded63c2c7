"""How the time of a search is spent, and what each step may take; pure."""
