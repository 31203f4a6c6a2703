"""Mean-field variational inference, and what it is measured against."""
