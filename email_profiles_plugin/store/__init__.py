"""The database: tables, one module of statements for each kind of row."""
