"""Asking a server that speaks the Open Inference Protocol: ours, or another one."""
