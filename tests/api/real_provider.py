"""A real identity provider (oidc-provider, on Node); signing in with it as staff and systems do."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import secrets
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urljoin, urlsplit

import httpx
from joserfc import jwt
from joserfc.jwk import ECKey

HERE = Path(__file__).parent.parent / "npm"
AUDIENCE = "https://records.example"
REDIRECT = "http://127.0.0.1/callback"


def key(name: str) -> ECKey:
    return ECKey.generate_key("P-256", parameters={"kid": name, "use": "sig", "alg": "ES256"})


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def _set(*keys: ECKey, private: bool) -> str:
    return json.dumps({"keys": [one.as_dict(private=private) for one in keys]})


@contextmanager
def running(port: int, keys: list[ECKey], client: ECKey) -> Iterator[str]:
    """The provider's address, until the end."""
    node = shutil.which("node")
    assert node, "Node is needed to test against a real identity provider"
    assert (HERE / "node_modules").exists(), "`make npm` installs what the tests need"
    command = [node, "provider.mjs", str(port), _set(*keys, private=True),
               _set(client, private=False)]  # fmt: skip
    quiet = subprocess.DEVNULL
    process = subprocess.Popen(command, cwd=HERE, stdout=subprocess.PIPE, stderr=quiet, text=True)
    try:
        assert process.stdout
        assert process.stdout.readline().strip() == "listening"
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(timeout=10)
        process.stdout.close()


def system_token(issuer: str, client: ECKey, scope: str = "system/*.rs") -> str:
    """A backend service's token: client credentials, authenticated by a signed JWT."""
    now = int(time.time())
    claims = {"iss": "backend", "sub": "backend", "aud": issuer, "jti": secrets.token_hex(8),
              "iat": now, "exp": now + 60}  # fmt: skip
    assertion = jwt.encode({"alg": "ES256", "kid": client.kid}, claims, client)
    answer = httpx.post(
        f"{issuer}/token",
        data={
            "grant_type": "client_credentials", "scope": scope, "resource": AUDIENCE,
            "client_assertion": assertion,
            "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
        },
    )  # fmt: skip
    assert answer.status_code == 200, answer.text
    return str(answer.json()["access_token"])


def staff_tokens(issuer: str, staff: str, scope: str = "openid user/*.rs") -> dict[str, Any]:
    """What a member of staff gets who signs in: authorisation code with PKCE, forms and all."""
    verifier = secrets.token_urlsafe(48)
    digest = hashlib.sha256(verifier.encode()).digest()
    asked = {
        "client_id": "app", "response_type": "code", "redirect_uri": REDIRECT, "scope": scope,
        "resource": AUDIENCE, "code_challenge_method": "S256",
        "code_challenge": base64.urlsafe_b64encode(digest).decode().rstrip("="),
    }  # fmt: skip
    with httpx.Client() as browser:
        page = browser.get(f"{issuer}/auth", params=asked)
        for _ in range(12):
            if page.status_code in (302, 303):
                target = urljoin(str(page.url), page.headers["location"])
                if target.startswith(REDIRECT):
                    break
                page = browser.get(target)
                continue
            form = re.search(r'action="([^"]+)"', page.text)
            prompt = re.search(r'name="prompt" value="(\w+)"', page.text)
            assert form, page.text
            assert prompt, page.text
            filled = {"prompt": prompt.group(1), "login": staff, "password": "x"}
            page = browser.post(urljoin(str(page.url), form.group(1)), data=filled)
        code = parse_qs(urlsplit(target).query)["code"][0]
        answer = browser.post(
            f"{issuer}/token",
            data={
                "grant_type": "authorization_code", "code": code, "client_id": "app",
                "redirect_uri": REDIRECT, "code_verifier": verifier, "resource": AUDIENCE,
            },
        )  # fmt: skip
    assert answer.status_code == 200, answer.text
    return dict(answer.json())
