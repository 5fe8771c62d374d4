"""The server above the resources' routes: the application put together, the middlewares that every
request passes, the operations (health, metrics, the description of the interface), and uvicorn.

What a route itself uses belongs in ``app.http``; what a route does belongs to its resource.
"""
