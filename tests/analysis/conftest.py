from helpers.finished_run import finished_run  # noqa: F401
