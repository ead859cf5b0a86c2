"""SpatialSV: 3D supervision on the visual hidden states of a multimodal LLM."""

__version__ = "0.1.0"
