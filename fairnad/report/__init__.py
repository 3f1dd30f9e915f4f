"""What stored runs say, for people: statistics, tables, figures and one page. Searches and trains nothing."""
