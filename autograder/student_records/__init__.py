"""All that a course folder keeps of one student: found, removed, or carried over to another id."""
