"""Train cohorts, from the batch to the record's rows; where they run and are stored is decided elsewhere."""
