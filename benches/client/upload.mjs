// What a careful author writes with the official client to get a folder into the media area: a few uploads at a time;
// the client itself waits and tries again on a 429. Usage: node upload.mjs FOLDER [AT_ONCE], with SANDBOX_URL set.

import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { buildClient } from '@datocms/cma-client-node';

const [folder, atOnce = '8'] = process.argv.slice(2);
const client = buildClient({ apiToken: 'sandbox', baseUrl: process.env.SANDBOX_URL });
const entries = await readdir(folder, { recursive: true, withFileTypes: true });
const paths = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.path, entry.name));

async function worker() {
  for (let localPath = paths.pop(); localPath; localPath = paths.pop()) {
    await client.uploads.createFromLocalFile({ localPath });
  }
}

await Promise.all(Array.from({ length: Number(atOnce) }, worker));
