"""The results folder in and out: runs, checkpoints, locks, status. Nothing is computed here."""
