"""A whole class at once: in parallel, on this machine or a cluster, and what is kept for the next run."""
