"""What a gestionale in Python does: usage: with_paramiko.py PORT USER KEY_FILE REMOTE_BATCH

Runs in a folder that holds `grande.bin` and `lotto.zip`; leaves `indietro.bin` and `esito.bin` there."""
import sys

import paramiko

port, user, key, batch = sys.argv[1:]
client = paramiko.SSHClient()
client.set_missing_host_key_policy(paramiko.AutoAddPolicy())
client.connect("127.0.0.1", int(port), user, key_filename=key, allow_agent=False, look_for_keys=False, timeout=20, auth_timeout=20)
sftp = client.open_sftp()
sftp.get_channel().settimeout(60)
sftp.put("grande.bin", "in/grande.part")  # compares the size right after CLOSE
sftp.get("in/grande.part", "indietro.bin")  # asks for the whole file at once
sftp.get("esiti/esito.bin", "esito.bin", prefetch=False)
with open("grande.bin", "rb") as source, sftp.open("in/grande.part", "rb") as remote:
    remote.seek(1_000_003)
    source.seek(1_000_003)
    assert remote.read(65_537) == source.read(65_537), "a piece in the middle"
    assert remote.readv([(0, 100), (5_000_000, 40_000), (17, 3)]) is not None
sftp.utime("in/grande.part", (1_700_000_000, 1_700_000_000))
assert int(sftp.stat("in/grande.part").st_mtime) == 1_700_000_000
sftp.chmod("in/grande.part", 0o600)
sftp.rename("in/grande.part", "in/altro.part")
sftp.posix_rename("in/altro.part", "in/grande.part")
assert "grande.part" in sftp.listdir("in")
sftp.remove("in/grande.part")
try:
    sftp.stat("in/grande.part")
    raise SystemExit("it was removed")
except FileNotFoundError:
    pass
sftp.put("lotto.zip", batch)
sftp.stat(batch)
client.close()
