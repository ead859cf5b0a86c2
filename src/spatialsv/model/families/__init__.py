"""Adapters of MLLM families, one file each; see `family.Family`."""
