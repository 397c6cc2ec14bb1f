"""
The content type of a file, by its name's extension.

The standard library's `mimetypes` reads files of the machine it runs on, so the same
request would give other octets elsewhere. This table is the same everywhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

OCTET_STREAM = "application/octet-stream"
"""What nobody knows better; also .eml, as message/rfc822 may not be base64."""

_OFFICE = "application/vnd.openxmlformats-officedocument"
_OPEN_DOCUMENT = "application/vnd.oasis.opendocument"

TABLE: Mapping[str, str] = MappingProxyType(
    {
        "7z": "application/x-7z-compressed",
        "aac": "audio/aac",
        "avi": "video/x-msvideo",
        "avif": "image/avif",
        "bmp": "image/bmp",
        "bz2": "application/x-bzip2",
        "css": "text/css",
        "csv": "text/csv",
        "dbf": "application/vnd.dbf",
        "doc": "application/msword",
        "docx": f"{_OFFICE}.wordprocessingml.document",
        "dwg": "image/vnd.dwg",
        "dxf": "image/vnd.dxf",
        "emf": "image/emf",
        "epub": "application/epub+zip",
        "flac": "audio/flac",
        "gif": "image/gif",
        "gz": "application/gzip",
        "heic": "image/heic",
        "heif": "image/heif",
        "htm": "text/html",
        "html": "text/html",
        "ico": "image/vnd.microsoft.icon",
        "ics": "text/calendar",
        "jpe": "image/jpeg",
        "jpeg": "image/jpeg",
        "jpg": "image/jpeg",
        "js": "text/javascript",
        "json": "application/json",
        "jsonl": "application/jsonl",
        "log": "text/plain",
        "m4a": "audio/mp4",
        "m4v": "video/mp4",
        "markdown": "text/markdown",
        "md": "text/markdown",
        "mkv": "video/matroska",
        "mov": "video/quicktime",
        "mp3": "audio/mpeg",
        "mp4": "video/mp4",
        "mpeg": "video/mpeg",
        "mpg": "video/mpeg",
        "ndjson": "application/x-ndjson",
        "odp": f"{_OPEN_DOCUMENT}.presentation",
        "ods": f"{_OPEN_DOCUMENT}.spreadsheet",
        "odt": f"{_OPEN_DOCUMENT}.text",
        "oga": "audio/ogg",
        "ogg": "audio/ogg",
        "ogv": "video/ogg",
        "opus": "audio/ogg",
        "parquet": "application/vnd.apache.parquet",
        "pdf": "application/pdf",
        "png": "image/png",
        "ppt": "application/vnd.ms-powerpoint",
        "pptx": f"{_OFFICE}.presentationml.presentation",
        "ps": "application/postscript",
        "rar": "application/vnd.rar",
        "rtf": "application/rtf",
        "sql": "application/sql",
        "sqlite": "application/vnd.sqlite3",
        "svg": "image/svg+xml",
        "tar": "application/x-tar",
        "tif": "image/tiff",
        "tiff": "image/tiff",
        "toml": "application/toml",
        "tsv": "text/tab-separated-values",
        "txt": "text/plain",
        "vcf": "text/vcard",
        "vsd": "application/vnd.visio",
        "vsdx": "application/vnd.ms-visio.drawing.main+xml",
        "wav": "audio/wav",
        "weba": "audio/webm",
        "webm": "video/webm",
        "webp": "image/webp",
        "wmf": "image/wmf",
        "xhtml": "application/xhtml+xml",
        "xls": "application/vnd.ms-excel",
        "xlsm": "application/vnd.ms-excel.sheet.macroEnabled.12",
        "xlsx": f"{_OFFICE}.spreadsheetml.sheet",
        "xml": "application/xml",
        "xps": "application/vnd.ms-xpsdocument",
        "xz": "application/x-xz",
        "yaml": "application/yaml",
        "yml": "application/yaml",
        "zip": "application/zip",
        "zst": "application/zstd",
    }
)
"""Extension, lower case and without its dot, to content type."""


def content_type(name: str, additions: Mapping[str, str]) -> str:
    """The type of a file called *name*; *additions* has a site's own extensions."""
    _, dot, extension = name.rpartition(".")
    if not dot:
        return OCTET_STREAM
    extension = extension.lower()
    return additions.get(extension) or TABLE.get(extension, OCTET_STREAM)
