"""The facts of one course: course.toml, roster, due dates, lock, secret and logs."""
