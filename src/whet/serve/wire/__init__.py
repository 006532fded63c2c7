"""The Open Inference Protocol in bytes: requests read, answers written; no socket, no clock."""
