"""SQLAlchemy over SQLite or PostgreSQL; sealed payloads; migrations. Implements service.ports."""
