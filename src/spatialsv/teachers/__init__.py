"""Teachers that label geometry: exact, the shipped network, and third-party networks."""
