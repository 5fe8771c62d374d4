"""Keys to the HTTP interface, recognised by their hash, and the browser sessions that stand for
them."""
