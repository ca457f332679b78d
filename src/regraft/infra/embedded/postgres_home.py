"""Where the cluster lies and which account serves it: PostgreSQL refuses to run as root."""

from __future__ import annotations

import hashlib
import os
import pwd
import secrets
from dataclasses import dataclass
from pathlib import Path

from regraft.domain.errors import ServerStartError
from regraft.infra.data_folder import SERVER_ACCOUNT, let_postgres_traverse
from regraft.infra.embedded.postgres_binaries import PostgresBinaries
from regraft.infra.embedded.process import SystemAccount
from regraft.infra.embedded.state import RunFolder

SHARED_HOMES = Path("/var/lib/regraft")
_MARKER = "postgres.location"


@dataclass(frozen=True, slots=True)
class PostgresHome:
    """The folder that holds the cluster, and the account that the server runs as (None: our own)."""

    path: Path
    account: SystemAccount | None

    @property
    def cluster(self) -> Path:
        """The data directory in PostgreSQL's sense."""
        return self.path / "postgres"

    @property
    def draft(self) -> Path:
        """Where initdb works, so that a cluster is there whole or not at all."""
        return self.path / "postgres.new"

    def reachable(self, binaries: PostgresBinaries) -> PostgresBinaries:
        """Programs that the server's account can run: the same, or a copy of them in this home."""
        if self.account is None or can_traverse(binaries.folder, self.account):
            return binaries
        return binaries.copy_to(self.path / "binaries")


def cluster_folder(data_dir: Path) -> Path | None:
    """Where the database of a data folder lies; None where it has none. Nothing is made."""
    marker = data_dir / "run" / _MARKER
    home = Path(marker.read_text("utf-8").strip()) if marker.exists() else data_dir
    return home / "postgres" if (home / "postgres").is_dir() else None


def has_cluster(data_dir: Path) -> bool:
    """Whether a data folder has a database. Nothing is made."""
    return cluster_folder(data_dir) is not None


def find_home(data_dir: Path, run: RunFolder) -> PostgresHome:
    """The home of a data folder's cluster.

    It is the data folder itself, unless we are root and the server's account cannot get there: then it is a new folder
    below /var/lib/regraft, named in `run/postgres.location`.
    """
    marker = run.path / _MARKER
    if marker.exists():
        path = Path(marker.read_text("utf-8").strip())
        if not path.is_dir():
            raise ServerStartError(
                f"{marker} names {path}, which is not there: restore that folder, or delete the marker file to begin "
                "with an empty database."
            )
        return PostgresHome(path, _account(path))
    home = PostgresHome(data_dir, _account(data_dir))
    if home.account is None or can_traverse(data_dir, home.account):
        return home
    if home.cluster.exists():
        raise ServerStartError(
            f"The database in {home.cluster} cannot be reached by the account that serves it: let others enter "
            f"{data_dir} and the folders above it (chmod o+x), as they could when it was made."
        )
    return PostgresHome(_new_shared_home(data_dir, run), home.account)


def _account(home: Path) -> SystemAccount | None:
    cluster = home / "postgres"
    if os.geteuid() != 0:
        if cluster.exists() and cluster.stat().st_uid != os.geteuid():
            raise ServerStartError(
                f"The database in {cluster} belongs to the account with id {cluster.stat().st_uid}: start Regraft as "
                "root or as that account, or choose another data folder."
            )
        return None
    if cluster.exists() and (owner := cluster.stat()).st_uid != 0:
        return SystemAccount(owner.st_uid, owner.st_gid)
    nobody = pwd.getpwnam(SERVER_ACCOUNT)
    return SystemAccount(nobody.pw_uid, nobody.pw_gid)


def _new_shared_home(data_dir: Path, run: RunFolder) -> Path:
    digest = hashlib.blake2b(os.fsencode(data_dir), digest_size=6).hexdigest()
    path = SHARED_HOMES / f"{digest}-{secrets.token_hex(4)}"
    path.mkdir(parents=True)
    # Not left to the umask, which may keep others out of them.
    SHARED_HOMES.chmod(0o755)
    let_postgres_traverse(path)
    run.write_private(_MARKER, str(path))
    return path


def can_traverse(path: Path, account: SystemAccount) -> bool:
    """True when the account may enter the folder and all those above it."""
    path = path.resolve()
    return all(_may_enter(folder, account) for folder in (path, *path.parents))


def _may_enter(folder: Path, account: SystemAccount) -> bool:
    status = folder.stat()
    if status.st_uid == account.uid:
        return bool(status.st_mode & 0o100)
    if status.st_gid == account.gid:
        return bool(status.st_mode & 0o010)
    return bool(status.st_mode & 0o001)
