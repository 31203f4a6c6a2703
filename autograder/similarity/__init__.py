"""Which submissions are so alike that a person should look. Never a verdict."""
