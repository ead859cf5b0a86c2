"""Who labels geometry: the renderer itself (`exact`) and the shipped network (`rooms`)."""
