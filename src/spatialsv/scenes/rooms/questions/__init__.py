"""Questions from a room's geometry."""
