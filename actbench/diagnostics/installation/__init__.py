"""What is installed and at hand on this machine, and what is wrong with it: the facts of ``actbench doctor``."""
