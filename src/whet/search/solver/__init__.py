"""One solver over menus: which entry each block takes, for the least damage within a limit."""
