"""What is measured of the hidden units of a cohort in training; any other network's are in ``health.modules``."""
