"""Images: read safely, find in folders, lay out as a contact sheet (pillow only)."""

from h2q.images._read import MAX_PIXELS, image_formats, image_suffixes, read_image
from h2q.images._scan import scan_folder
from h2q.images._sheet import Tile, contact_sheet

__all__ = [
    "MAX_PIXELS",
    "Tile",
    "contact_sheet",
    "image_formats",
    "image_suffixes",
    "read_image",
    "scan_folder",
]
