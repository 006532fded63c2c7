"""The command line: one file per verb. It parses and renders; `whet.api` does the work."""
