"""One file per group of addresses: read the query, ask the services, fill a template.

Whatever needs more than a few lines of preparation belongs in ``views``.
"""
