"""What a study costs beyond its training from 1 to 10,000 runs, measured; from there to 1,000 workers, simulated."""
