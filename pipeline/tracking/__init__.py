"""One execution and its record in MLflow."""
