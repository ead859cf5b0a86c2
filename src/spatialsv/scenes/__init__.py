"""Scenes: images with geometry, where they are kept, and where they come from."""
