"""The ownership map as files: YAML -> OwnershipMap, keeping file, line and column of everything that is wrong."""

from router.ownership_file.loading import load_map
from router.ownership_file.rendering import render_findings

__all__ = ["load_map", "render_findings"]
