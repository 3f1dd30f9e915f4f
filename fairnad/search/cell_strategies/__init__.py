"""Searches on a table of cells: each asks until its look-ups are spent. They return nothing."""
