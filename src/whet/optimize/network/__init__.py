"""Passes over networks: what changes the layers of a trained network, before it becomes a graph.

Every module here needs torch when it is imported; they are imported only by functions that
need them (through `whet._optional.require`).
"""
