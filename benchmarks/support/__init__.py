"""What the benchmarks share; each script of the folder above is one benchmark."""
