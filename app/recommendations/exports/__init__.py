"""A recommendation in the form that another program reads.

One file per kind of target. A new one is a function from recommendation to ``Export``, a line in
``formats.FORMATS``, and its name in ``app.recommendations.routes.ExportFormat``.
"""
