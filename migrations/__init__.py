"""Alembic migrations, as a package so that an installed wheel has them too.

Run them with ``tonnage db upgrade`` or ``app.database.migrate``. To write one, change
``app/database/models/``, then::

    alembic -c migrations/alembic.ini revision --autogenerate -m "what changes" --rev-id 0002

read every line of the result, and raise ``HEAD`` below.
"""

HEAD = "0019"
"""The newest revision: known without loading Alembic, so that opening a database is quick."""
