"""From the files that a student handed in to the answers in them."""
