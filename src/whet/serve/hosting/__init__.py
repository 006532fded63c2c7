"""Models that a server holds: opened, checked, ready to be asked, and changed while it runs."""
