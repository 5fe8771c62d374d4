"""The dashboard: pages for people, rendered on the server from what the services know.

``pages`` answers the addresses, ``views`` prepares what a page shows, ``charts`` turns
measurements into figures. What every page needs (templates, forms, assets, number formats) and
the self-contained report are here.
"""
