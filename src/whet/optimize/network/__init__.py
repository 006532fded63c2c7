"""Passes over networks: what changes the layers of a trained network, before it becomes a graph.

All but the pure `segment` need torch when they are imported; that is done only by functions that
need them (through `whet._optional.require`).
"""
