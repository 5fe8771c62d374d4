"""What a page shows, prepared as plain data and independent of the request.

Nothing here knows an address or a template, so that the report and the tests use it too.
"""
