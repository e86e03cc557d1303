"""What an activation costs: time and memory an element, forward and with the way back."""
