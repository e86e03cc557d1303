"""This machine: devices, processes, whole files, versions, cancellation. Nothing here knows of runs."""
