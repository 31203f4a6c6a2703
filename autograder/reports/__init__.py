"""Pages and tables about a class, for instructors: report, similarity, status, and explanations of single answers."""
