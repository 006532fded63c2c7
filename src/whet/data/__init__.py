"""Samples: readers, transforms, the store on disk and the three-way split."""
