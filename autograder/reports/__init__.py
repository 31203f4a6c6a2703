"""Pages and tables for the instructor about a class."""
