"""The contract engine: proposes candidates, measures them, decides, remembers."""
