"""Runs bundles: sessions, transforms, checks. Never imports torch or onnx itself."""
