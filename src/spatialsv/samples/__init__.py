"""Scenes and questions as samples and batches."""
