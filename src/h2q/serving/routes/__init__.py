"""The routes, by what they are about; each reads a request and asks the library."""

from h2q.serving.routes import browse, duplicates, health, items, pictures, search

ROUTERS = (
    health.router,
    items.router,
    search.router,
    browse.router,
    duplicates.router,
    pictures.router,
)

__all__ = ["ROUTERS"]
