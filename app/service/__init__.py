"""The HTTP interface: what every resource's routes share, and how the whole is put together."""
