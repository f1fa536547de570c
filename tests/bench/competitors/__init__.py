"""Programs the bench runs beside Penstock, each started by path in an environment of its own."""
