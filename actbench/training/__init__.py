"""A cohort's training, from the batch to the record's rows; where it runs and is stored is decided elsewhere."""
