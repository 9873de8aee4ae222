"""Images: read safely, find in folders, lay out as a contact sheet (pillow only)."""

from h2q.images._formats import image_formats, image_suffixes, is_video, not_read, suffix_of
from h2q.images._read import MAX_PIXELS, Photo, read_image, read_photo
from h2q.images._scan import FoundPhoto, find_photos, folder_order, scan_folder
from h2q.images._sheet import Tile, contact_sheet

__all__ = [
    "MAX_PIXELS",
    "FoundPhoto",
    "Photo",
    "Tile",
    "contact_sheet",
    "find_photos",
    "folder_order",
    "image_formats",
    "image_suffixes",
    "is_video",
    "not_read",
    "read_image",
    "read_photo",
    "scan_folder",
    "suffix_of",
]
