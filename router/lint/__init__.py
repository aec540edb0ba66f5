"""Checks of the map that the loader does not need to make, each with an id and a page."""
