"""Documents: what they may say, what is wrong with them, and the values they make."""

from .composition import (
    check_auth_schema,
    client_schema,
    compose_profile_schema,
    profile_schema,
    request_schema,
)
from .conversion import (
    client_from_document,
    document_from_profile,
    profile_from_document,
    secret_reference,
)
from .hosts import is_loopback, protocols_from_text
from .places import (
    Reference,
    changed_client_place,
    changed_place,
    map_secrets,
    references,
    rename_reference,
    secret_pointers,
)
from .send_requests import document_from_request, request_from_document
from .shapes import SECRET, json_path, with_defaults
from .validation import (
    client_warnings,
    validate_client,
    validate_document,
    validate_profile,
    validate_request_document,
    validate_token_request,
    warnings,
    warnings_of_document,
)

__all__ = [
    "SECRET",
    "Reference",
    "changed_client_place",
    "changed_place",
    "check_auth_schema",
    "client_from_document",
    "client_schema",
    "client_warnings",
    "compose_profile_schema",
    "document_from_profile",
    "document_from_request",
    "is_loopback",
    "json_path",
    "map_secrets",
    "profile_from_document",
    "profile_schema",
    "protocols_from_text",
    "references",
    "rename_reference",
    "request_from_document",
    "request_schema",
    "secret_pointers",
    "secret_reference",
    "validate_client",
    "validate_document",
    "validate_profile",
    "validate_request_document",
    "validate_token_request",
    "warnings",
    "warnings_of_document",
    "with_defaults",
]
