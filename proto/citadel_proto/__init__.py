"""The wire schema that both processes share. Importing this package imports nothing else."""
