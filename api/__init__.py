"""L'API."""
