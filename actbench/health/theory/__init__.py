"""What closed forms and mean-field theory expect of a network before it is trained; nothing is measured here."""
