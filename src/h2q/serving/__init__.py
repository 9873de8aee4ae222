"""A collection over HTTP: an API, a page, metrics; `h2q serve` runs it.

`app.create_app(collection, settings)` makes the ASGI application, `server.run(...)` serves it with
uvicorn. The data flows one way: a request passes the guard (`guard.py`), a route (`routes/`) reads
it, the library (`library.py`) answers from the collection and from what is derived of it.
"""

from h2q.serving.settings import ApiKey, Settings

__all__ = ["ApiKey", "Settings"]
