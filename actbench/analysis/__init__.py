"""From stored runs to what they say: tables, differences, verdicts, expectations. Reports only render the result."""
