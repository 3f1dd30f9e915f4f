"""Designs as text: the base networks, what their sources say (AST), what their graphs say (pure data). No torch here."""
