"""Networks in: from a file, a directory or a live module to a `Network`.

Nothing is ever unpickled, and code is run only from a path that the user named.
"""

from whet.optimize.intake.load import load_network
from whet.optimize.intake.network import Kind, Network, Task

__all__ = ["Kind", "Network", "Task", "load_network"]
