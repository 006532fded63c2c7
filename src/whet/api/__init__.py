"""The public verbs, by what they work on. Each body is a table of contents; the work is in the wings.

`import whet` names them all and imports each only when it is asked for, so that a machine which
only answers loads nothing of the search.
"""
