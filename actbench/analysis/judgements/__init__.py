"""What a table amounts to: verdicts, hypotheses, gates, warnings, in words."""
