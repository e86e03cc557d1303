"""Pictures made of characters, for the terminal: rows of bars and curves, in Unicode or in ASCII alone."""
