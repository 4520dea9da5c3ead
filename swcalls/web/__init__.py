"""A page that shows the calls of a client while they run: `dashboard` adds it to an aiohttp application."""

from .mount import Dashboard, dashboard

__all__ = ["Dashboard", "dashboard"]
