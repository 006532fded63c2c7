"""From a trained network to better graphs: intake, export and passes.

torch and onnx live here and nowhere else, and only inside the functions (and
the modules imported by them) that need them.
"""
