"""Contract suites: an implementation of one of whet's interfaces joins with one line.

Shipped, so that implementations outside this repository can be held to the
same promises. Needs pytest; nothing in whet imports it.
"""

from __future__ import annotations
