"""From a study to runs under way: cohorts, estimates, engines, work shared between processes. Trains nothing itself."""
