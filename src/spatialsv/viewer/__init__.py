"""The 3D viewer of pages that need no network: its data, scripts and style."""
