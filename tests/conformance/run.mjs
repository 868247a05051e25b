// The official client, unchanged, against the sandbox at SANDBOX_URL. Each check prints one line; the first failure ends
// the run with its cause. SANDBOX_SHAPE tells how the project keeps metadata: by "field" or by "locale". The control path (/_sandbox/) only sets scenes and counts, it never stands in for the client.

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { createServer } from 'node:http';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ApiError, buildClient, generateId, uploadLocalFileAndReturnPath } from '@datocms/cma-client-node';

const baseUrl = process.env.SANDBOX_URL;
assert.ok(baseUrl, 'SANDBOX_URL names the sandbox');
const shape = process.env.SANDBOX_SHAPE;
assert.ok(['field', 'locale'].includes(shape), 'SANDBOX_SHAPE is field or locale');
const client = buildClient({ apiToken: 'sandbox', baseUrl });
const directory = await mkdtemp(join(tmpdir(), 'conformance-'));
const png = Buffer.from(
  'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==',
  'base64',
);

const md5 = (bytes) => createHash('md5').update(bytes).digest('hex');

async function control(method, path, body) {
  const response = await fetch(`${baseUrl}/_sandbox/${path}`, {
    method,
    headers: { 'content-type': 'application/json' },
    body: body && JSON.stringify(body),
  });
  const answer = await response.json();
  assert.equal(response.status, 200, JSON.stringify(answer));
  return answer;
}

const count = async (route, since = 0) =>
  (await control('GET', `log?count=1&since=${since}&route=${encodeURIComponent(route)}`)).count;

async function file(name, bytes) {
  const path = join(directory, name);
  await writeFile(path, bytes);
  return path;
}

async function refusal(promise) {
  try {
    await promise;
  } catch (error) {
    assert.ok(error instanceof ApiError, `an ApiError, not ${error}`);
    return error;
  }
  assert.fail('the call should have been refused');
}

const checks = {
  async 'an upload is created from a local file'() {
    const id = generateId();
    const phases = new Set();
    const focal_point = { x: 0.3, y: 0.6 };
    const metadata =
      shape === 'field'
        ? { alt: { en: 'Alt' }, title: { en: 'Title' }, focal_point, custom_data: { en: { watermark: true } } }
        : { en: { alt: 'Alt', title: 'Title', focal_point, custom_data: { watermark: true } } };
    const upload = await client.uploads.createFromLocalFile({
      id,
      localPath: await file('pixel.png', png),
      filename: 'Different Name.png',
      author: 'New author!',
      copyright: 'New copyright',
      tags: ['one', 'two'],
      default_field_metadata: metadata,
      onProgress: (info) => phases.add(info.type),
    });
    assert.equal(upload.id, id);
    assert.equal(upload.md5, md5(png));
    assert.deepEqual([upload.width, upload.height, upload.is_image, upload.mime_type], [1, 1, true, 'image/png']);
    assert.deepEqual(upload.tags, ['one', 'two']);
    // A picture has no poster time, in either shape.
    const expected =
      shape === 'field' ? { ...metadata, poster_time: null } : { en: { ...metadata.en, poster_time: null } };
    assert.deepEqual(upload.default_field_metadata, expected);
    assert.ok(phases.has('CREATING_UPLOAD_OBJECT'));
    const served = await fetch(`${upload.url}?skip-default-optimizations=true&svg-sanitize=false`);
    assert.equal(served.headers.get('content-type'), 'image/png');
    assert.deepEqual(Buffer.from(await served.arrayBuffer()), png);
    assert.deepEqual(await client.uploads.find(id), upload);
    const again = client.uploads.create({ id, path: upload.path });
    const [error] = (await refusal(again)).errors;
    assert.deepEqual([error.attributes.code, error.attributes.details.field], ['INVALID_FIELD', 'id']);
  },

  async 'an upload that exists is skipped'() {
    const localPath = await file('skip.txt', 'skip me');
    const first = await client.uploads.createFromLocalFile({ localPath, skipCreationIfAlreadyExists: true });
    const before = await count('POST /uploads');
    const second = await client.uploads.createFromLocalFile({ localPath, skipCreationIfAlreadyExists: true });
    assert.equal(second.id, first.id);
    assert.equal(await count('POST /uploads'), before);
  },

  async 'an upload is created from a URL'() {
    const server = createServer((request, response) => {
      response.writeHead(200, { 'content-type': 'image/png', 'content-length': png.length + 1 });
      response.end(Buffer.concat([png, Buffer.from([0])]));
    });
    await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
    try {
      const url = `http://127.0.0.1:${server.address().port}/remote.png`;
      const upload = await client.uploads.createFromUrl({ url, skipCreationIfAlreadyExists: true });
      assert.equal(upload.filename, 'remote.png');
      assert.equal(upload.size, png.length + 1);
    } finally {
      server.closeAllConnections();
      server.close();
    }
  },

  async 'a file is replaced at its URL, or gets a new one'() {
    const upload = await client.uploads.createFromLocalFile({ localPath: await file('first.txt', 'first') });
    const path = await uploadLocalFileAndReturnPath(client, await file('second.txt', 'second'));
    const kept = await client.uploads.update(upload.id, { path }, { replace_strategy: 'keep_url' });
    assert.deepEqual([kept.id, kept.url, kept.path], [upload.id, upload.url, upload.path]);
    assert.equal(kept.md5, md5('second'));
    assert.equal(await (await fetch(kept.url)).text(), 'second');

    const moved = await client.uploads.updateFromLocalFile(upload.id, { localPath: await file('third.txt', 'third') });
    assert.notEqual(moved.url, upload.url);
    assert.equal(moved.md5, md5('third'));

    const other = await uploadLocalFileAndReturnPath(client, await file('fourth.csv', 'fourth'));
    const wrong = client.uploads.update(upload.id, { path: other }, { replace_strategy: 'keep_url' });
    assert.equal((await refusal(wrong)).errors[0].attributes.code, 'INVALID_FIELD');
  },

  async 'metadata is changed and an upload renamed'() {
    const upload = await client.uploads.createFromLocalFile({ localPath: await file('meta.png', png), tags: ['a'] });
    const changed = await client.uploads.update(upload.id, { author: 'A', notes: null, tags: ['b'] });
    assert.deepEqual([changed.author, changed.notes, changed.tags], ['A', null, ['b']]);
    const renamed = await client.uploads.update(upload.id, { basename: 'renamed' });
    assert.equal(renamed.filename, 'renamed.png');
    await client.uploads.destroy(upload.id);
    assert.equal((await refusal(client.uploads.find(upload.id))).response.status, 404);
  },

  async 'collections are made, filled, moved and removed'() {
    const parent = await client.uploadCollections.create({ label: 'Brand' });
    const child = await client.uploadCollections.create({
      id: generateId(),
      label: 'Logos',
      parent: { type: 'upload_collection', id: parent.id },
    });
    assert.equal(child.parent.id, parent.id);
    const listed = await client.uploadCollections.list();
    assert.deepEqual(listed.find(({ id }) => id === parent.id).children, [{ type: 'upload_collection', id: child.id }]);
    const upload = await client.uploads.createFromLocalFile({
      localPath: await file('collected.txt', 'collected'),
      upload_collection: { type: 'upload_collection', id: child.id },
    });
    assert.equal(upload.upload_collection.id, child.id);
    await client.uploads.bulkSetUploadCollection({
      upload_collection: { type: 'upload_collection', id: parent.id },
      uploads: [{ type: 'upload', id: upload.id }],
    });
    assert.equal((await client.uploads.find(upload.id)).upload_collection.id, parent.id);
    const label = 'Renamed';
    assert.equal((await client.uploadCollections.update(child.id, { label, parent: null })).parent, null);
    await client.uploadCollections.destroy(parent.id);
    assert.equal((await client.uploads.find(upload.id)).upload_collection, null);
  },

  async 'a video gets tracks, which are listed and removed'() {
    const video = await client.uploads.createFromLocalFile({ localPath: await file('clip.mp4', 'a video') });
    const send = async (name) => uploadLocalFileAndReturnPath(client, await file(name, 'WEBVTT'));
    const made = await client.uploadTracks.create(video.id, {
      url_or_upload_request_id: await send('clip.en.vtt'),
      type: 'subtitles',
      language_code: 'en',
      closed_captions: true,
      name: 'English (CC)',
    });
    assert.deepEqual(
      [made.type, made.name, made.language_code, made.closed_captions, made.error, made.upload.id],
      ['subtitles', 'English (CC)', 'en', true, null, video.id],
    );
    const sound = { url_or_upload_request_id: await send('clip.it.m4a'), type: 'audio', language_code: 'it' };
    await client.uploadTracks.create(video.id, sound);
    assert.deepEqual((await client.uploadTracks.list(video.id)).map(({ type }) => type), ['subtitles', 'audio']);
    await client.uploadTracks.destroy(video.id, made.id);
    assert.deepEqual((await client.uploadTracks.list(video.id)).map(({ type }) => type), ['audio']);
    assert.equal((await refusal(client.uploadTracks.destroy(video.id, made.id))).response.status, 404);

    assert.equal((await refusal(client.uploadTracks.create(video.id, sound))).errors[0].attributes.code, 'INVALID_FIELD');
    const text = await client.uploads.createFromLocalFile({ localPath: await file('text.txt', 'no video') });
    assert.equal((await refusal(client.uploadTracks.list(text.id))).errors[0].attributes.code, 'INVALID_FIELD');
  },

  async '1,200 uploads are iterated in pages'() {
    await control('POST', 'edit', { op: 'foreign_many', count: 1200 });
    const seen = new Set();
    const query = { filter: { fields: { tags: { contains: 'foreign' } } }, order_by: 'id_ASC' };
    for await (const upload of client.uploads.listPagedIterator(query, { perPage: 500, concurrency: 3 })) {
      seen.add(upload.id);
    }
    assert.equal(seen.size, 1200);
    const [first] = await client.uploads.list(query);
    const found = await client.uploads.list({ filter: { fields: { md5: { in: [first.md5, 'no such digest'] } } } });
    assert.deepEqual(found.map(({ id }) => id), [first.id]);
    assert.equal((await client.uploads.list({ filter: { ids: [...seen].slice(0, 7).join(',') } })).length, 7);
  },

  async 'uploads are tagged and destroyed in bulk'() {
    const query = { filter: { fields: { tags: { contains: 'foreign' } } }, page: { limit: 200 }, order_by: 'id_ASC' };
    const uploads = (await client.uploads.list(query)).map(({ id }) => ({ type: 'upload', id }));
    await client.uploads.bulkTag({ tags: ['bulk'], uploads });
    const tagged = { filter: { fields: { tags: { allIn: ['bulk', 'foreign'] } } }, page: { limit: 0 } };
    assert.equal((await client.uploads.rawList(tagged)).meta.total_count, 200);
    assert.ok((await client.uploadTags.list()).some(({ name }) => name === 'bulk'));
    await control('POST', 'edit', { op: 'record', record: 'page-1', uploads: [uploads[0].id] });
    assert.equal((await client.uploads.references(uploads[0].id)).length, 1);
    const used = await refusal(client.uploads.destroy(uploads[0].id));
    assert.equal(used.errors[0].attributes.code, 'UPLOAD_IS_CURRENTLY_IN_USE');
    const link = { data: uploads };
    const destroyed = await client.uploads.rawBulkDestroy({
      data: { type: 'upload_bulk_destroy_operation', relationships: { uploads: link } },
    });
    assert.deepEqual(destroyed.meta, { successful: 199, failed: 1 });
    const many = Array.from({ length: 201 }, () => uploads[0]);
    const error = await refusal(client.uploads.bulkTag({ tags: ['x'], uploads: many }));
    assert.equal(error.errors[0].attributes.code, 'TOO_MANY_OPERATIONS');
  },

  async 'a failing job is an error with its code'() {
    const path = await uploadLocalFileAndReturnPath(client, await file('fails.txt', 'fails'));
    const kind = { name: 'job_fails', status: 422, code: 'INVALID_FIELD' };
    await control('POST', 'faults', { route: 'POST /uploads', kind });
    const error = await refusal(client.uploads.create({ path }));
    assert.deepEqual([error.response.status, error.errors[0].attributes.code], [422, 'INVALID_FIELD']);
    const upload = await client.uploads.create({ path });
    assert.equal(upload.md5, md5('fails'));

    await control('PATCH', 'settings', { refuse_late: true });
    const late = await refusal(client.uploads.create({ id: upload.id, path }));
    assert.equal(late.findError('INVALID_FIELD', { field: 'id' })?.attributes.details.code, 'VALIDATION_UNIQUENESS');
    await control('PATCH', 'settings', { refuse_late: false });
  },

  async 'any call may be answered by a job'() {
    for (const route of ['GET /site', 'GET /uploads', 'POST /upload-requests']) {
      await control('POST', 'faults', { route, kind: { name: 'as_job' } });
    }
    assert.deepEqual((await client.site.find()).locales, ['en']);
    assert.ok((await client.uploads.list()).length > 0);
    const upload = await client.uploads.createFromLocalFile({ localPath: await file('job.txt', 'job') });
    await control('POST', 'faults', { route: 'PUT /uploads/:id', kind: { name: 'direct' } });
    assert.equal((await client.uploads.update(upload.id, { notes: 'direct' })).notes, 'direct');
  },

  async 'the project speaks its metadata shape and refuses the other'() {
    const upload = await client.uploads.createFromLocalFile({ localPath: await file('shape.png', png) });
    const { meta } = (await client.site.rawFind()).data;
    assert.equal(meta.non_localized_focal_points, shape === 'field');
    const focal_point = { x: 0.1, y: 0.2 };
    const byField = { alt: { en: 'Alt' }, focal_point };
    const byLocale = { en: { alt: 'Alt', focal_point } };
    const [own, other] = shape === 'field' ? [byField, byLocale] : [byLocale, byField];
    const { default_field_metadata: now } = await client.uploads.update(upload.id, { default_field_metadata: own });
    const flat = shape === 'field' ? now : now.en;
    assert.deepEqual(flat.focal_point, focal_point);
    assert.deepEqual(shape === 'field' ? [now.alt.en, now.title.en] : [flat.alt, flat.title], ['Alt', null]);
    const wrong = client.uploads.update(upload.id, { default_field_metadata: other });
    assert.equal((await refusal(wrong)).errors[0].attributes.code, 'INVALID_FORMAT');
  },

  async 'an environment is forked and worked on'() {
    const upload = await client.uploads.createFromLocalFile({ localPath: await file('fork.txt', 'fork') });
    await client.environments.fork('main', { id: 'draft' });
    assert.deepEqual((await client.environments.list()).map(({ id }) => id).sort(), ['draft', 'main']);
    const draft = buildClient({ apiToken: 'sandbox', baseUrl, environment: 'draft' });
    await draft.uploads.update(upload.id, { author: 'Draft' });
    assert.equal((await client.uploads.find(upload.id)).author, null);
    const nowhere = buildClient({ apiToken: 'sandbox', baseUrl, environment: 'nowhere' });
    assert.equal((await refusal(nowhere.site.find())).errors[0].attributes.code, 'INVALID_ENVIRONMENT');
  },

  async 'usage and limits are told'() {
    assert.ok((await client.subscriptionLimits.list()).some(({ code }) => code === 'uploadable_bytes'));
    assert.ok((await client.dailyUsages.list()).length > 0);
    const counter = await client.usageCounters.find('cma_endpoint_requests', { period: 'current_month' });
    assert.ok(counter.result[0].counter > 0);
    const me = await client.users.findMe({ include: 'role' });
    const role = await client.roles.find(me.role.id);
    assert.equal(role.meta.final_permissions.can_manage_upload_collections, true);
  },

  async 'a token may be wrong, or read only'() {
    const wrong = buildClient({ apiToken: 'wrong', baseUrl });
    assert.equal((await refusal(wrong.site.find())).errors[0].attributes.code, 'INVALID_AUTHORIZATION_HEADER');
    const readonly = buildClient({ apiToken: 'sandbox-readonly', baseUrl });
    assert.ok((await readonly.uploads.list()).length > 0);
    const write = readonly.uploadRequest.create({ filename: 'a.txt' });
    assert.equal((await refusal(write)).errors[0].attributes.code, 'INSUFFICIENT_PERMISSIONS');
  },

  async '100 parallel calls get through the rate limit'() {
    const { entries } = await control('GET', 'log');
    const since = entries.at(-1).seq;
    const answers = await Promise.all(Array.from({ length: 100 }, () => client.uploads.rawList({ page: { limit: 1 } })));
    assert.ok(answers.every(({ data }) => data.length === 1));
    const calls = (await control('GET', `log?since=${since}`)).entries;
    assert.equal(calls.filter(({ status }) => status === 200).length, 100);
    assert.ok(calls.some(({ status }) => status === 429), 'the limit was met');
  },
};

let failed = false;
for (const [name, check] of Object.entries(checks)) {
  const start = performance.now();
  try {
    await check();
    console.log(`ok   ${name} (${Math.round(performance.now() - start)} ms)`);
  } catch (error) {
    failed = true;
    console.log(`FAIL ${name}\n${error.stack}`);
    break;
  }
}
await rm(directory, { recursive: true });
process.exit(failed ? 1 : 0);
