"""Runtimes behind one interface; each file imports its engine only when it is used."""
