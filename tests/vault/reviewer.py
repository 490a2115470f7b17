"""The one answer of a Kubernetes API that Vault's login by service account wants: whose token.

Tokens of service accounts are signed in a cluster and reviewed by its API; this reviewer knows the
tokens that it has made itself, and no others.
"""

import base64
import json
import ssl
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import trustme


class TokenReviewer:
    """Answers on loopback with TLS; `close` ends it.

    Attributes:
        host: address of the API.
        ca: PEM of its authority.
    """

    def __init__(self) -> None:
        """Starts it."""
        authority = trustme.CA()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("127.0.0.1").configure_cert(context)
        self.ca = authority.cert_pem.bytes().decode()
        self._tokens: dict[str, dict[str, Any]] = {}
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self.host = f"https://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()

    def token(self, account: str, namespace: str) -> str:
        """A token of a pod that runs under a service account."""
        uid = f"uid-of-{namespace}-{account}"
        claims = {
            "iss": "https://kubernetes.default.svc.cluster.local",
            "sub": f"system:serviceaccount:{namespace}:{account}",
            "kubernetes.io": {
                "namespace": namespace,
                "serviceaccount": {"name": account, "uid": uid},
            },
        }
        parts = [json.dumps({"alg": "RS256", "typ": "JWT"}), json.dumps(claims), "signed"]
        token = ".".join(
            base64.urlsafe_b64encode(part.encode()).decode().rstrip("=") for part in parts
        )
        self._tokens[token] = {"username": claims["sub"], "uid": uid}
        return token

    def close(self) -> None:
        """Ends it."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        tokens = self._tokens

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                user = tokens.get(asked["spec"]["token"])
                asked["status"] = {"authenticated": user is not None, "user": user or {}}
                body = json.dumps(asked).encode()
                self.send_response(201)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Says nothing."""

        return Handler
