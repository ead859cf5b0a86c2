"""The MLLM with its 3D heads: loading, forward pass, saving and export."""
