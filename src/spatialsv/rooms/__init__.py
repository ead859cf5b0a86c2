"""Procedural rooms: a world with exact geometry that needs no download."""
