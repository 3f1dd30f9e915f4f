"""Searches on a table of cells: each takes its look-ups and asks until they are spent. They return and print nothing."""
