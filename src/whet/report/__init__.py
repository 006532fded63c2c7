"""One HTML page from the evidence of a search: pure rendering, no network, no clock."""

from __future__ import annotations

from whet.report.info import BundleInfo, VariantInfo, bundle_info, draft_info
from whet.report.page import render

__all__ = ["BundleInfo", "VariantInfo", "bundle_info", "draft_info", "render"]
