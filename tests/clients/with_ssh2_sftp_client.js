// usage: with_ssh2_sftp_client.js PORT USER KEY_FILE REMOTE_BATCH; see with_paramiko.py
const fs = require('fs');
const assert = require('assert');
const Client = require('ssh2-sftp-client');

const [port, username, key, batch] = process.argv.slice(2);

async function main() {
  const sftp = new Client();
  await sftp.connect({ host: '127.0.0.1', port: Number(port), username, privateKey: fs.readFileSync(key), readyTimeout: 20000 });
  await sftp.fastPut('grande.bin', '/in/grande.part'); // 64 pieces at once, in any order
  await sftp.fastGet('/in/grande.part', 'indietro.bin');
  await sftp.get('/esiti/esito.bin', 'esito.bin'); // a stream
  await sftp.put(fs.createReadStream('grande.bin'), '/in/flusso.part');
  const back = await sftp.get('/in/flusso.part');
  assert(back.equals(fs.readFileSync('grande.bin')), 'stream');
  await sftp.put(Buffer.from('abc'), '/in/breve.part');
  await sftp.append(Buffer.from('def'), '/in/breve.part');
  assert.equal((await sftp.get('/in/breve.part')).toString(), 'abcdef');
  assert.equal((await sftp.stat('/in/grande.part')).size, fs.statSync('grande.bin').size);
  assert.equal(await sftp.exists('/in'), 'd');
  await sftp.rename('/in/breve.part', '/in/altro.part');
  const names = (await sftp.list('/in')).map(entry => entry.name);
  assert(names.includes('altro.part'), names.join());
  for (const name of ['altro', 'flusso', 'grande']) await sftp.delete(`/in/${name}.part`);
  await sftp.put('lotto.zip', '/' + batch);
  assert(await sftp.stat('/' + batch));
  await sftp.end();
}

main().catch(error => { console.error(error); process.exit(1); });
