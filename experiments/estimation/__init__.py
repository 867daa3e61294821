"""What masked losses teach about the parameters of a model."""
