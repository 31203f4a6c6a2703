"""The facts of an offering: course.toml, roster, due dates, its secret and its log."""
