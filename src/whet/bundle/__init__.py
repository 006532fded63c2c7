"""The directory on disk that holds the chosen variants, their evidence and all a server needs.

`FORMAT.md` beside this file is the specification.
"""
