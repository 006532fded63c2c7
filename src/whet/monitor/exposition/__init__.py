"""Metrics in the formats that Prometheus reads. Its Python client writes no native histograms."""
