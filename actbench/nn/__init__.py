"""What networks are made of: activations, initialisations, layers, models, optimizers, random streams."""
