"""Files: atomic writes, locks, digests, manifests, pruning, text formats."""
