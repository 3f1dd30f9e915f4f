"""The judges of what a child process reported, and the feedback loop that has refused drafts mended."""
