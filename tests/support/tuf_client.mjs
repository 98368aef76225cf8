// tuf-js, as tests/support/tuf_clients.rs drives it: asked and answering as tuf_client.py does.
// The one argument is the folder that tuf-js was installed into.
import fs from 'node:fs';
import path from 'node:path';
import readline from 'node:readline';
import { createRequire } from 'node:module';

const { Updater } = createRequire(path.join(process.argv[2], 'package.json'))('tuf-js');

function versions(state) {
  const found = {};
  for (const role of ['root', 'timestamp', 'snapshot', 'targets']) {
    const file = path.join(state, `${role}.json`);
    if (fs.existsSync(file)) found[role] = JSON.parse(fs.readFileSync(file)).signed.version;
  }
  return found;
}

async function run(ask) {
  // tuf-js starts from the root.json in its own folder, and updates it there.
  const root = path.join(ask.state, 'root.json');
  if (!fs.existsSync(root)) fs.copyFileSync(ask.root, root);
  const updater = new Updater({
    metadataDir: ask.state,
    metadataBaseUrl: `${ask.base}/metadata`,
    targetDir: ask.out,
    targetBaseUrl: `${ask.base}/targets`,
    config: { fetchTimeout: ask.timeout * 1000, fetchRetry: 0 },
  });
  await updater.refresh();
  for (const [number, target] of ask.targets.entries()) {
    const info = await updater.getTargetInfo(target);
    if (!info) throw Object.assign(new Error(`no role that may sign ${target} lists it`), { name: 'NotListed' });
    await updater.downloadTarget(info, path.join(ask.out, String(number)));
  }
}

for await (const line of readline.createInterface({ input: process.stdin })) {
  const ask = JSON.parse(line);
  let answer = {};
  try {
    await run(ask);
  } catch (error) {
    const kind = error.name === 'Error' ? error.constructor.name : error.name;
    answer = { error: kind, message: `${error.message} ${error.cause ?? ''}`.trim() };
  }
  process.stdout.write(`${JSON.stringify({ versions: versions(ask.state), ...answer })}\n`);
}
// A body without an end that was given up keeps its connection, and with it the process.
process.exit(0);
