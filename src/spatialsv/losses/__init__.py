"""Training losses: text, distillation, depth, rays and points, as (sum, count) pairs."""
