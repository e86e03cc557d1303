"""This machine: devices, environment, processes, files, cancellation. Nothing here knows of runs."""
