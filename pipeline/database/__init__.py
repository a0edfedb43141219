"""The server: connection, schemas and their declaration, what differs between back ends, roles."""
