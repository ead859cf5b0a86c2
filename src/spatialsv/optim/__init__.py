"""The training loop that all stages share, with its checkpoints, processes, schedules and logs."""
