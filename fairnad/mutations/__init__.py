"""The stages of the method: each chooses parents and ideas, and nothing else."""
