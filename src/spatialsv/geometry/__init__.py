"""Cameras, ray and depth maps, alignment and geometry metrics: tensors in, tensors out."""
