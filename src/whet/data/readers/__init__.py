"""Readers: one for each kind of source, all behind `open_samples`."""

from __future__ import annotations

from whet.data.readers.label_files import check_label_file
from whet.data.readers.opening import Source, open_samples
from whet.data.sample import Label, Reader, Sample

__all__ = ["Label", "Reader", "Sample", "Source", "check_label_file", "open_samples"]
