"""gRPC: messages translated into calls, and their results into messages. No decisions."""
