"""A connection to Vault: hvac, without what it would take from the environment by accident."""

from collections.abc import Callable, Mapping
from typing import Any

import hvac
import requests

from goalkick.common.adapters.secrets.settings import VaultSettings
from goalkick.common.adapters.secrets.troubles import Finding, Place, Trouble, VaultError, diagnose
from goalkick.common.core.errors import SettingsError
from goalkick.common.values.time import NS_PER_SECOND

Request = Callable[[Any], Any]
"""Does one thing with an `hvac.Client`."""


class VaultLink:
    """Asks Vault, and says in plain words why it gave no answer."""

    def __init__(self, settings: VaultSettings) -> None:
        """Connects when it is first used.

        Raises:
            SettingsError: there is no address, or the authority's file is not there.
        """
        if settings.address is None:
            raise SettingsError("vault.address: expected where Vault is, found none")
        if settings.ca_file is not None and not settings.ca_file.is_file():
            raise SettingsError(
                f"vault.ca_file: expected a file with certificates, found none at "
                f"{settings.ca_file}"
            )
        self.place = Place(settings.address, settings.timeout / NS_PER_SECOND)
        self._session = requests.Session()
        # Neither a proxy nor an authority, a token or a certificate out of a variable.
        self._session.trust_env = False
        verify = True if settings.ca_file is None else str(settings.ca_file)
        self._session.verify = verify
        self._client: Any = hvac.Client(
            url=settings.address,
            token="",
            cert=(),
            verify=verify,
            timeout=self.place.timeout_s,
            # A redirection would take the token along to another host.
            allow_redirects=False,
            session=self._session,
            namespace=settings.namespace,
        )

    def use(self, token: str) -> None:
        """Sends this token from now on; "" sends none."""
        self._client.token = token

    def ask(self, about: str, request: Request) -> Mapping[str, Any]:
        """What Vault answers; empty where it has nothing to say.

        Args:
            about: what an error names; no secret.
            request: what to do with the client.

        Raises:
            VaultError: it did not answer, or not as was hoped.
        """
        answer = self._answer(request)
        if isinstance(answer, Finding):
            raise self.place.error(about, *answer)
        return answer

    def close(self) -> None:
        """Hangs up."""
        self.use("")
        self._session.close()

    def _answer(self, request: Request) -> Mapping[str, Any] | Finding:
        # Nothing of a library's exception leaves this method: it holds the request, which holds
        # the token.
        try:
            answer = request(self._client)
        except VaultError:
            raise
        except Exception as error:
            return diagnose(error)
        if isinstance(answer, Mapping):
            return answer
        status = int(getattr(answer, "status_code", 0))
        return {} if status in (200, 204) else Finding(Trouble.BROKEN, status)
