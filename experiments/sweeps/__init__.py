"""Sweeps: designs over the parameters of a subject, run by Dask, kept in SQLite, read as data frames."""
