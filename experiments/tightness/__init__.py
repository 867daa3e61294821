"""How tight the workbench's bounds are: a search for the instance that attains a bound, or breaks it."""
