"""The toolbox under every resource's routes: pages of a listing, field types, problem documents,
idempotent writes, entity tags, and who the caller is.

It knows no resource and nothing of the server above it (``app.service``): what both need, such as
``Service``, is declared here and filled in there.
"""
