"""Passes put together by hand: pipelines, and recipes as files."""
