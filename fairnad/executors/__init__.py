"""Where and when children train: this machine, later a cluster or a table of known results."""
