"""The method: what is planned, who is chosen, and the loop that ties the rooms together."""
