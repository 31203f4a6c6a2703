"""Right implementations written in other ways, one module per component. Each of them must get all points."""
