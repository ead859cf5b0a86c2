"""What the scripts in perf/ share."""
