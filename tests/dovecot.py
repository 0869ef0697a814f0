"""A Dovecot of one's own: one user, one Maildir, for as long as a test needs it."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from grp import getgrgid
from pathlib import Path

import pytest

CONFIG = """
protocols = imap
base_dir = {home}/run
state_dir = {home}/run
log_path = {home}/log
ssl = required
ssl_cert = <{chain}
ssl_key = <{chain}
disable_plaintext_auth = yes
auth_failure_delay = 0
listen = 127.0.0.1
{more}
default_internal_user = {internal}
default_internal_group = {group}
default_login_user = {login}
mail_location = maildir:{home}/Maildir
first_valid_uid = 1
namespace inbox {{
  inbox = yes
  separator = .
  prefix = {prefix}
}}
passdb {{
  driver = static
  args = password=right
}}
userdb {{
  driver = static
  args = uid={uid} gid={gid} home={home}
}}
service imap-login {{
  {chroot}
  inet_listener imap {{
    port = {plain}
  }}
  inet_listener imaps {{
    port = {tls}
  }}
}}
service anvil {{
  {chroot}
}}
service stats {{
  {chroot}
}}
"""


@dataclass(frozen=True, kw_only=True)
class Dovecot:
    """`plain` takes STARTTLS, `tls` TLS from the first byte; anybody may log in with the password `right`."""

    plain: int
    tls: int
    maildir: Path
    ca_file: Path
    uid: int

    def deliver(self, name: str, mail: bytes) -> None:
        """As a mail server does: written elsewhere, then moved."""
        written, arrived = self.maildir / "tmp" / name, self.maildir / "new" / name
        written.write_bytes(mail)
        if os.geteuid() == 0:
            os.chown(written, self.uid, -1)
        written.rename(arrived)


def program() -> str | None:
    return shutil.which("dovecot") or shutil.which("dovecot", path="/usr/sbin:/opt/homebrew/sbin")


@contextmanager
def running(chain: Path, ca_file: Path, old: bool = False) -> Iterator[Dovecot]:
    """Started, and stopped at the end; an `old` one cannot move mails and names no namespace. Skips where Dovecot 2.3 is not installed, and fails there in CI."""
    binary = program()
    if binary is None:
        message = "Dovecot is not installed: `apt-get install dovecot-imapd`"
        pytest.fail(message) if os.environ.get("CI") else pytest.skip(message)
    version = subprocess.run([binary, "--version"], capture_output=True, text=True, check=True, timeout=10).stdout
    if not version.startswith("2.3."):
        pytest.skip(f"this Dovecot ({version.split()[0]}) wants its settings written differently than 2.3 did")
    me = pwd.getpwnam("nobody") if os.geteuid() == 0 else pwd.getpwuid(os.geteuid())
    home = Path(tempfile.mkdtemp(prefix="dc"))  # short: the path of a socket in it has at most 100 characters
    server = None
    try:
        for part in ("new", "cur", "tmp"):
            (home / "Maildir" / part).mkdir(parents=True)
        home.chmod(0o755)
        for path in (home, *home.rglob("*")) if os.geteuid() == 0 else ():
            os.chown(path, me.pw_uid, me.pw_gid)
        plain, tls = _free(), _free()
        (home / "dovecot.conf").write_text(_config(home, me, chain, plain, tls, old), encoding="utf-8")
        server = subprocess.Popen([binary, "-F", "-c", str(home / "dovecot.conf")], stderr=subprocess.PIPE)
        _wait(server, tls, home)
        yield Dovecot(plain=plain, tls=tls, maildir=home / "Maildir", ca_file=ca_file, uid=me.pw_uid)
    finally:
        if server is not None:
            server.terminate()
            server.wait(10)
        shutil.rmtree(home, ignore_errors=True)


def _config(home: Path, me: pwd.struct_passwd, chain: Path, plain: int, tls: int, old: bool) -> str:
    root, mine = os.geteuid() == 0, getgrgid(me.pw_gid).gr_name
    return CONFIG.format(
        home=home,
        chain=chain,
        more="imap_capability = IMAP4rev1" if old else "",
        prefix="" if old else "INBOX.",
        internal="dovecot" if root else me.pw_name,
        group="dovecot" if root else mine,
        login="dovenull" if root else me.pw_name,
        uid=me.pw_uid,
        gid=me.pw_gid,
        plain=plain,
        tls=tls,
        chroot="" if root else "chroot =",
    )


def _free() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
    return port


def _wait(server: subprocess.Popen[bytes], port: int, home: Path) -> None:
    ends = time.monotonic() + 20
    while time.monotonic() < ends and server.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), 0.5).close()
            return
        except OSError:
            time.sleep(0.05)
    log = home / "log"
    raise AssertionError(f"Dovecot did not start: {log.read_text() if log.exists() else ''}")
