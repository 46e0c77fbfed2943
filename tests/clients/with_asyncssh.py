"""usage: with_asyncssh.py PORT USER KEY_FILE REMOTE_BATCH; see with_paramiko.py"""
import asyncio
import sys

import asyncssh

port, user, key, batch = sys.argv[1:]
common = dict(username=user, client_keys=[key], known_hosts=None, config=None, agent_path=None, login_timeout=20)


async def once(**more):
    async with asyncssh.connect("127.0.0.1", int(port), **common, **more) as connection:
        async with connection.start_sftp_client() as sftp:
            await sftp.put("grande.bin", "in/grande.part", preserve=True)
            await sftp.get("in/grande.part", "indietro.bin", preserve=True)
            assert open("grande.bin", "rb").read() == open("indietro.bin", "rb").read(), more
            await sftp.get("esiti/esito.bin", "esito.bin")
            assert await sftp.exists("in/grande.part")
            await sftp.posix_rename("in/grande.part", "in/altro.part")
            names = [entry.filename async for entry in sftp.scandir("in")]
            assert "altro.part" in names, names
            async with sftp.open("in/altro.part", "r+b") as remote:
                await remote.seek(10)
                await remote.write(b"0123456789")
            async with sftp.open("in/altro.part", "rb") as remote:
                assert (await remote.read(30))[10:20] == b"0123456789"
            for piece in (b"abc", b"def"):
                async with sftp.open("in/accoda.part", "ab") as remote:
                    await remote.write(piece)
                    await remote.write(piece.upper())
            async with sftp.open("in/accoda.part", "rb") as remote:
                assert await remote.read() == b"abcABCdefDEF"
            await sftp.remove("in/accoda.part")
            await sftp.statvfs("/")
            await sftp.remove("in/altro.part")
        # A second session in the same connection, and two at once.
        async with connection.start_sftp_client() as one, connection.start_sftp_client() as two:
            await asyncio.gather(one.put("grande.bin", "in/uno.part"), two.put("grande.bin", "in/due.part"))
            await asyncio.gather(one.get("in/due.part", "due.bin"), two.get("in/uno.part", "uno.bin"))
            assert open("uno.bin", "rb").read() == open("due.bin", "rb").read() == open("grande.bin", "rb").read()
            await one.remove("in/uno.part")
            await one.remove("in/due.part")


async def main():
    await once(rekey_bytes=1 << 20)
    await once(encryption_algs=["aes128-gcm@openssh.com"])
    async with asyncssh.connect("127.0.0.1", int(port), **common) as connection:
        async with connection.start_sftp_client() as sftp:
            await sftp.put("lotto.zip", batch)


asyncio.run(asyncio.wait_for(main(), 110))
