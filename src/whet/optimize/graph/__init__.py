"""Passes over graphs: ONNX files in, ONNX files out."""
