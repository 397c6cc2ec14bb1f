"""
An authorization server that others wrote: django-oauth-toolkit, over TLS, on loopback.

    python django_server.py FOLDER CERTIFICATE

It is told what to do by lines of JSON on standard input, answers each with one on
standard output, and ends with its input. The first line out says where it listens.
CERTIFICATE is a file with key and chain (PEM); FOLDER is for its database.
"""

from __future__ import annotations

import json
import ssl
import sys
import threading
from collections import Counter
from pathlib import Path
from socketserver import TCPServer, ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

import django
from django.conf import settings

LOGIN = """\
<!DOCTYPE html><title>Log in</title>
<form method="post">{% csrf_token %}{{ form.as_p }}<button>Log in</button></form>
"""

GATES = (
    "IMPLICIT_GRANT PASSWORD_GRANT PKCE_METHOD ACCESS_TOKEN_TRANSPORT "
    "AUTHZ_RESPONSE_ISS TOKEN_STORAGE REFRESH_TOKEN REDIRECT_URI_SCHEME "
    "REDIRECT_URI_MATCHING PKCE_REQUIRED"
)

APPS = [
    ("django.contrib.auth", "auth"),
    ("django.contrib.contenttypes", "contenttypes"),
    ("django.contrib.sessions", "sessions"),
    ("django.contrib.staticfiles", "staticfiles"),
    ("oauth2_provider", "oauth2_provider"),
]

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
            ],
            "loaders": [
                (
                    "django.template.loaders.locmem.Loader",
                    {"registration/login.html": LOGIN},
                ),
                "django.template.loaders.app_directories.Loader",
            ],
        },
    }
]


def configure(folder: Path) -> None:
    """Django, with nothing in it but users, sessions and the toolkit."""
    settings.configure(
        SECRET_KEY="of a server that lives as long as a test",
        ALLOWED_HOSTS=["127.0.0.1"],
        ROOT_URLCONF=__name__,
        DATABASES={
            "default": {
                "ENGINE": "django.db.backends.sqlite3",
                "NAME": folder / "django.sqlite3",
                "OPTIONS": {"timeout": 20, "transaction_mode": "IMMEDIATE"},
            }
        },
        DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
        INSTALLED_APPS=[app for app, _ in APPS],
        MIGRATION_MODULES={label: None for _, label in APPS},  # the tables as they are
        MIDDLEWARE=[
            "django.contrib.sessions.middleware.SessionMiddleware",
            "django.middleware.csrf.CsrfViewMiddleware",
            "django.contrib.auth.middleware.AuthenticationMiddleware",
        ],
        PASSWORD_HASHERS=["django.contrib.auth.hashers.MD5PasswordHasher"],
        TEMPLATES=TEMPLATES,
        USE_TZ=True,
        STATIC_URL="/static/",
        LOGIN_URL="/login/",
        SESSION_COOKIE_SECURE=True,
        CSRF_COOKIE_SECURE=True,
        OAUTH2_PROVIDER={
            "SCOPES": {"mail.send": "Send mail"},
            "REFRESH_TOKEN_REUSE_PROTECTION": True,
            "DEVICE_FLOW_INTERVAL": 1,
            "OAUTH_DEVICE_VERIFICATION_URI": "/device/",
            **{f"COMPLIANT_BCP_RFC9700_{gate}": True for gate in GATES.split()},
        },
    )
    django.setup()


def urlpatterns_of() -> list[Any]:
    """The toolkit at the root, so that its metadata is where RFC 8414 wants it."""
    from django.contrib.auth.views import LoginView
    from django.urls import include, path

    return [
        path("login/", LoginView.as_view()),
        path("", include("oauth2_provider.urls")),
    ]


class Server(ThreadingMixIn, WSGIServer):
    """A thread for each connection: browsers open some that they do not use."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, certificate: Path) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(certificate)
        self.counted: Counter[str] = Counter()

    def server_bind(self) -> None:
        """Without the look-up of a name."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = "127.0.0.1", self.server_address[1]
        self.setup_environ()

    def finish_request(self, request: Any, client_address: Any) -> None:
        try:
            request.settimeout(30)
            with self.context.wrap_socket(request, server_side=True) as secured:
                Handler(secured, client_address, self)
        except OSError:
            pass  # it left, or distrusts us

    def handle_error(self, request: Any, client_address: Any) -> None:
        sys.excepthook(*sys.exc_info())  # type: ignore[arg-type]


class Handler(WSGIRequestHandler):
    def get_environ(self) -> dict[str, Any]:
        environ = super().get_environ()
        environ["wsgi.url_scheme"] = "https"
        environ["HTTPS"] = "on"
        self.server.counted[environ["PATH_INFO"]] += 1  # type: ignore[attr-defined]
        return environ

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing; a query has a code in it."""


def obey(server: Server, command: dict[str, Any]) -> Any:
    """What is answered to one command."""
    from django.contrib.auth.models import User
    from oauth2_provider.models import Application

    if "user" in command:
        User.objects.create_user(command["user"], password=command["password"])
        return "created"
    if "redirect_uri" in command:
        Application.objects.create(
            name=command["name"],
            client_id=command["client_id"],
            client_secret=command["client_secret"],
            client_type=Application.CLIENT_CONFIDENTIAL,
            authorization_grant_type=Application.GRANT_AUTHORIZATION_CODE,
            redirect_uris=command["redirect_uri"],
        )
        return "created"
    return server.counted[command["count"]]


def main(folder: Path, certificate: Path) -> None:
    """Serve till standard input ends."""
    configure(folder)
    from django.core.management import call_command
    from django.core.wsgi import get_wsgi_application

    urlpatterns.extend(urlpatterns_of())
    call_command("migrate", run_syncdb=True, verbosity=0, interactive=False)
    server = Server(certificate)
    server.set_app(get_wsgi_application())
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(json.dumps(f"https://127.0.0.1:{server.server_port}"), flush=True)
    for line in sys.stdin:
        print(json.dumps(obey(server, json.loads(line))), flush=True)


urlpatterns: list[Any] = []

if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
