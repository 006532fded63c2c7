"""Passes over networks: what changes the layers of a trained network, before it becomes a graph.

Each module here is a pass; what passes are made of lies in the folders. All but the pure
`structure.segment`, `menus.menu` and `students.zoo` need torch when they are imported; that is done
only by functions that need them (through `whet._optional.require`).
"""
