"""Keys to the HTTP interface: made, listed and revoked on the host, recognised by their hash."""
