"""MLflow: a view of results."""
