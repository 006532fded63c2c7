"""Paths and bodies of other servers, for clients that come from there; they all become one request."""
