"""Designs as data: base networks, what a source says (AST), what a graph says. No torch."""
