"""Access to the web API by tokens that a test names: ``admin``, or ``admin alpha`` of a tenant."""

from __future__ import annotations

from regraft.flows.access import AccessControl, Grant


class NamedGrants(AccessControl):
    """A token is a role, and after a blank a tenant: ``viewer``, ``reviewer``, ``admin``, ``admin alpha``."""

    def grant(self, shown: str | None) -> Grant | None:
        """What the token names; without one nothing may be read."""
        role, _, scope = (shown or "").partition(" ")
        if role not in ("viewer", "reviewer", "admin"):
            return None
        return Grant(scope=scope or None, holds=lambda: True, name=shown, role=role)  # type: ignore[arg-type]


def bearer(token: str) -> dict[str, str]:
    """The header that shows a token."""
    return {"Authorization": f"Bearer {token}"}
