"""Administration: keys of the gateway, tokens of the web UI, model servers, and calls that cannot be read.

The administrator of one tenant sees and changes only that tenant's keys and tokens.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from regraft.domain.capture.clients import ClientTable
from regraft.domain.errors import ForbiddenError, NotFoundError, UnavailableError, UsageError
from regraft.domain.orchestration.orchestration import BACKEND
from regraft.infra.files.keys import KeyStore, VirtualKey
from regraft.infra.files.web_tokens import Role, WebToken, WebTokenStore
from regraft.infra.llm.model_list import ServerAnswer, ask_models
from regraft.infra.postgres.browser_sessions import SignedInBrowsers, end_sessions_of, sessions_by_token
from regraft.infra.postgres.capture.live import UpstreamFigures, upstream_figures
from regraft.infra.postgres.pool import Connection, transaction

if TYPE_CHECKING:
    from regraft.infra.config.upstream import UpstreamSection
    from regraft.infra.settings import Settings

HOUR = 3600.0  # seconds that the figures of model servers are of


@dataclass(frozen=True, slots=True, kw_only=True)
class AdminSetup:
    """``keys`` and ``tokens`` are files, ``needs_keys`` says whether the gateway asks for keys, ``upstreams`` are the
    model servers by name (none: the local model), ``table`` and ``patience`` are for reading calls again."""

    keys: Path
    tokens: Path
    needs_keys: bool = False
    upstreams: Mapping[str, UpstreamSection] = field(default_factory=dict)
    table: ClientTable | None = None
    patience: timedelta = timedelta(hours=1)


def admin_setup(settings: Settings, keys: Path, tokens: Path) -> AdminSetup:
    """The setup that the settings describe, with the files of keys and of tokens."""
    return AdminSetup(
        keys=keys,
        tokens=tokens,
        needs_keys=settings.gateway.needs_keys,
        upstreams=settings.upstreams,
        table=settings.client_table,
        patience=timedelta(seconds=settings.ingest.patience),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class UpstreamHealth:
    """A model server: what the settings say of it, what it answers now, and its calls of the last hour.

    ``base_url`` is empty for one that only the log knows. Without an ``answer`` it was not asked.
    """

    name: str
    base_url: str
    models: tuple[str, ...]
    answer: ServerAnswer | None
    figures: UpstreamFigures | None


class Administration:
    """The data that one administrator may see and change: that of the tenant ``scope``, or everything if None."""

    def __init__(self, dsn: str, setup: AdminSetup, scope: str | None) -> None:
        self.scope = scope
        self.setup = setup
        self._dsn = dsn
        self._keys = KeyStore(setup.keys)
        self._tokens = WebTokenStore(setup.tokens)

    def gateway_keys(self) -> list[VirtualKey]:
        """Keys of the gateway, the newest first, revoked ones too."""
        return [key for key in reversed(self._keys.all()) if self.scope in (None, key.scope)]

    def create_key(
        self, name: str, scope: str | None, models: tuple[str, ...], per_minute: int, max_concurrency: int
    ) -> tuple[VirtualKey, str]:
        """A new key and its secret, which is shown only now. ``scope`` None: the administrator's, else `default`.

        Raises UsageError, and ForbiddenError for another tenant's.
        """
        wanted = self._own(scope) or "default"
        return self._keys.create(_named(name), wanted, models or ("*",), per_minute, max_concurrency)

    def revoke_key(self, key_id: str) -> VirtualKey:
        """End a key. Raises NotFoundError."""
        if not any(key.key_id == key_id for key in self.gateway_keys()):
            raise NotFoundError(f"There is no key {key_id!r}.")
        return self._keys.revoke(key_id)

    def web_tokens(self) -> list[WebToken]:
        """Tokens of the web UI, the newest first, revoked ones too."""
        return [token for token in reversed(self._tokens.all()) if self.scope in (None, token.scope)]

    def browsers(self, connection: Connection) -> dict[str, SignedInBrowsers]:
        """The browsers that are signed in, by the id of the token that they were signed in with."""
        own = {token.key_id for token in self.web_tokens()} if self.scope is not None else None
        return {each.token_id: each for each in sessions_by_token(connection) if own is None or each.token_id in own}

    def create_token(self, name: str, scope: str | None, role: Role) -> tuple[WebToken, str]:
        """A new token and its secret, which is shown only now. Raises UsageError, and ForbiddenError for another
        tenant's or for one of all tenants, unless the administrator has all."""
        return self._tokens.create(_named(name), self._own(scope), role=role)

    def revoke_token(self, token_id: str) -> WebToken:
        """End a token and the sessions of browsers that were signed in with it. Raises NotFoundError."""
        if not any(token.key_id == token_id for token in self.web_tokens()):
            raise NotFoundError(f"There is no token {token_id!r}.")
        revoked = self._tokens.revoke(token_id)
        with transaction(self._dsn, name="regraft-web") as connection:
            end_sessions_of(connection, revoked.key_id)
        return revoked

    def figures(self, connection: Connection) -> list[UpstreamFigures]:
        """The calls of the last hour by model server, of the administrator's tenant alone. What was imported, and what
        orchestrators answered, was answered by no server."""
        found = upstream_figures(connection, HOUR, self.scope)
        return [each for each in found if each.upstream != BACKEND and not each.upstream.startswith("import:")]

    def upstreams(self, counted: Sequence[UpstreamFigures], *, asking: bool) -> list[UpstreamHealth]:
        """Model servers with what was ``counted`` of them, those of the settings first. ``asking``: each is asked for
        its models now, which takes five seconds at most. The administrator of one tenant sees no addresses."""
        figures = {each.upstream: each for each in counted}
        known = self.setup.upstreams if self.scope is None else {}
        answers = asyncio.run(_ask_all(known)) if asking and known else {}
        found = [
            UpstreamHealth(
                name=name,
                base_url=upstream.base_url,
                models=tuple(upstream.models),
                answer=answers.get(name),
                figures=figures.pop(name, None),
            )
            for name, upstream in known.items()
        ]
        rest = [
            UpstreamHealth(name=name, base_url="", models=(), answer=None, figures=each)
            for name, each in figures.items()
        ]
        return [*found, *rest]

    def require_all(self) -> None:
        """Raises ForbiddenError for the administrator of one tenant: what could not be read is of no known tenant."""
        if self.scope is not None:
            raise ForbiddenError("The quarantine is of no one tenant: a token without a tenant may look into it.")

    def _own(self, scope: str | None) -> str | None:
        wanted = scope.strip() if scope is not None and scope.strip() else self.scope
        if self.scope is not None and wanted != self.scope:
            raise ForbiddenError(f"This token manages only the tenant {self.scope}.")
        return wanted


def require_setup(setup: AdminSetup | None) -> AdminSetup:
    """The setup, where the server has one. Raises UnavailableError."""
    if setup is None:
        raise UnavailableError("This server was started without the files of keys and tokens.")
    return setup


def _named(name: str) -> str:
    if not name.strip():
        raise UsageError("Give a name that is not empty.")
    return name.strip()


async def _ask_all(upstreams: Mapping[str, UpstreamSection]) -> dict[str, ServerAnswer]:
    answers = await asyncio.gather(*(ask_models(each) for each in upstreams.values()))
    return dict(zip(upstreams, answers, strict=True))
