"""The routes, by what they are about; each reads a request and asks the library."""

from h2q.serving.routes import browse, duplicates, health, items, pictures, search

ROUTERS = (
    search.router,  # the first, for it is asked for most
    health.router,
    items.router,
    browse.router,
    duplicates.router,
    pictures.router,
)

__all__ = ["ROUTERS"]
