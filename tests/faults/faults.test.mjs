// SPDX-License-Identifier: LGPL-2.1-or-later
// What happens when the camera is pulled out, the viewer stalls, a stranger is hostile. Each test
// prints its figure. SPOTTER_FAULT_SECONDS makes the long ones longer (./dev test faults).

import {test} from 'node:test';
import assert from 'node:assert/strict';
import {createServer} from 'node:net';
import {mkdtempSync, rmdirSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {countFds, countThreads, rawSocket, rssKiB, run, startCamera, startSpotter, view,
  waitFor} from '../lib/lib.mjs';

const SECONDS = Number(process.env.SPOTTER_FAULT_SECONDS ?? 10);
const figure = (t, text) => { t.diagnostic(`figure: ${text}`); };
const KINDS = ['mp4', 'ts', 'mjpeg'];

test('a camera that dies and comes back: viewers stay, all doors go on, state and reason are told', async t => {
  const camera = await startCamera(t);
  const server = await startSpotter(t, {streams: {cam: camera.url}});
  const viewers = KINDS.map(kind => view(t, `${server.base}/stream.${kind}?src=cam`));
  await waitFor('all to play', () => viewers.every(viewer => viewer.bytes > 20000));
  const killed = performance.now();
  await camera.kill();
  await waitFor('the state', async () => await server.state('cam') === 'failed');
  figure(t, `loss seen after ${Math.round(performance.now() - killed)} ms`);
  assert.ok((await server.json('/api/streams?src=cam')).reason.length > 5);
  const before = viewers.map(viewer => viewer.bytes);
  const again = performance.now();
  const second = await startCamera(t, ['--port', camera.port]);
  await waitFor('all to go on', () => viewers.every((viewer, i) => viewer.bytes > before[i] + 20000));
  figure(t, `playing again ${Math.round(performance.now() - again)} ms after its return`);
  assert.ok(viewers.every(viewer => !viewer.closed));
  assert.equal(second.connections(), 1);
});

test('a source that accepts and says nothing fails with a sentence, and stops nobody else', async t => {
  const silent = createServer(socket => socket.on('error', () => {})).listen(0, '127.0.0.1');
  t.after(() => silent.close());
  await new Promise(resolve => silent.once('listening', resolve));
  const server = await startSpotter(t, {options: {'stream.start': '2s'},
    streams: {dumb: `rtsp://127.0.0.1:${silent.address().port}/x`, ball: 'test:ball'}});
  const healthy = view(t, `${server.base}/stream.mjpeg?src=ball`);
  const began = performance.now();
  const response = await server.get('/stream.mp4?src=dumb');
  assert.equal(response.status, 503);
  assert.match(await response.text(), /no data for 2 s/);
  figure(t, `503 after ${Math.round(performance.now() - began)} ms`);
  // a slower failure than 4 s is answered before it is known
  const slow = await startSpotter(t, {streams: {dumb: `rtsp://127.0.0.1:${silent.address().port}/x`}});
  const asked = performance.now();
  const viewer = view(t, `${slow.base}/stream.mp4?src=dumb`);
  await waitFor('an answer', () => viewer.status === 200 || performance.now() - asked > 6000);
  figure(t, `answered ${viewer.status} after ${Math.round(performance.now() - asked)} ms, still waiting`);
  assert.equal(viewer.status, 200);
  assert.ok(!viewer.closed && healthy.bytes > 0);
});

test('garbage instead of RTSP is a sentence', async t => {
  const noisy = createServer(socket => {
    socket.on('error', () => {});
    socket.on('data', () => socket.write(Buffer.alloc(4096, 0xa5)));
  }).listen(0, '127.0.0.1');
  t.after(() => noisy.close());
  await new Promise(resolve => noisy.once('listening', resolve));
  const server = await startSpotter(t, {options: {'stream.start': '3s'},
    streams: {noise: `rtsp://127.0.0.1:${noisy.address().port}/x`}});
  const response = await server.get('/stream.mp4?src=noise');
  assert.equal(response.status, 503);
  assert.ok((await response.text()).length > 10);
});

for (const kind of KINDS) {
  test(`a hundred stalled readers on ${kind}: healthy ones lose nothing, the stalled are cut, nothing is left`, async t => {
    const camera = await startCamera(t, ['--kbps', '4000', '--size', '1280x720', '--no-audio']);
    const server = await startSpotter(t, {streams: {cam: camera.url}});
    const url = `${server.base}/stream.${kind}?src=cam`;
    const healthy = view(t, url);
    await waitFor('the healthy viewer', () => healthy.bytes > 100000);
    const [fds, threads, rss] = [countFds(server.pid), countThreads(server.pid), rssKiB(server.pid)];
    const stalled = Array.from({length: 100}, () => view(t, url, {pause: true}));
    await waitFor('all of them', () => stalled.every(viewer => viewer.status === 200));
    healthy.resetGap();
    const began = Date.now();
    let peak = 0;
    await waitFor('the stalled to be cut', async () => {
      peak = Math.max(peak, rssKiB(server.pid));
      return (await server.json('/api/streams?src=cam')).consumers.length === 1;
    });
    figure(t, `${kind}: all cut after ${((Date.now() - began) / 1000).toFixed(1)} s; ` +
      `${Math.round((peak - rss) / 100)} KiB of RSS each at the peak; longest gap of the healthy viewer ${Math.round(healthy.longestGap)} ms`);
    const {consumers} = await server.json('/api/streams?src=cam');
    if (kind !== 'mjpeg') // there the newest picture wins, by intent
      assert.equal(consumers[0].drops, 0);
    assert.ok(!healthy.closed);
    await waitFor('descriptors and threads', () =>
      countFds(server.pid) <= fds + 3 && countThreads(server.pid) <= threads + 3);
  });
}

test('a viewer that crawls drops to keyframes and never slows the others', async t => {
  const camera = await startCamera(t, ['--kbps', '4000', '--size', '1280x720', '--no-audio']);
  const server = await startSpotter(t, {streams: {cam: camera.url}});
  const url = `${server.base}/stream.mp4?src=cam`;
  const healthy = view(t, url);
  const crawler = view(t, url, {pause: true});
  const timer = setInterval(() => crawler.response?.read(20000), 100); // 1.6 Mbit/s
  t.after(() => clearInterval(timer));
  await waitFor('the crawler to lose frames', async () =>
    (await server.json('/api/streams?src=cam')).consumers.some(consumer => consumer.drops > 30));
  const {consumers} = await server.json('/api/streams?src=cam');
  assert.equal(Math.min(...consumers.map(consumer => consumer.drops)), 0);
  assert.ok(!crawler.closed && !healthy.closed);
});

test('joining and leaving again and again leaves nothing behind', async t => {
  const camera = await startCamera(t);
  const server = await startSpotter(t, {streams: {cam: camera.url}});
  const sibling = view(t, `${server.base}/stream.mp4?src=cam`);
  const cycle = async count => {
    for (let i = 0; i < count; i += 10)
      await Promise.all(Array.from({length: 10}, async (_, k) => {
        const viewer = view(t, `${server.base}/stream.${KINDS[k % 3]}?src=cam`);
        await waitFor('a byte', () => viewer.bytes > 0 || viewer.closed);
        viewer.close();
        await viewer.done;
      }));
    await waitFor('all gone', async () => (await server.json('/api/streams?src=cam')).consumers.length === 1);
  };
  await cycle(50);
  const [fds, threads, rss] = [countFds(server.pid), countThreads(server.pid), rssKiB(server.pid)];
  const rounds = SECONDS > 10 ? 1000 : 200;
  await cycle(rounds);
  await waitFor('descriptors', () => countFds(server.pid) <= fds + 2);
  assert.ok(countThreads(server.pid) <= threads + 2);
  figure(t, `${rounds} joins: fds ${countFds(server.pid) - fds}, threads ${countThreads(server.pid) - threads}, ` +
    `RSS ${((rssKiB(server.pid) - rss) / rounds).toFixed(2)} KiB a cycle`);
  assert.ok(!sibling.closed);
});

test('SIGTERM with fifty viewers ends in time, without a leak', async t => {
  const camera = await startCamera(t);
  const server = await startSpotter(t, {streams: {cam: camera.url, ball: 'test:ball'}});
  const viewers = Array.from({length: 50}, (_, i) =>
    view(t, `${server.base}/stream.${KINDS[i % 3]}?src=${i % 2 ? 'cam' : 'ball'}`));
  await waitFor('all to play', () => viewers.every(viewer => viewer.bytes > 0));
  const {code, ms} = await server.stop();
  assert.equal(code, 0);
  figure(t, `ended after ${ms} ms`);
  await Promise.all(viewers.map(viewer => viewer.done));
});

test('SIGTERM while a source is being opened ends too', async t => {
  const silent = createServer(socket => socket.on('error', () => {})).listen(0, '127.0.0.1');
  t.after(() => silent.close());
  await new Promise(resolve => silent.once('listening', resolve));
  const server = await startSpotter(t, {streams: {dumb: `rtsp://127.0.0.1:${silent.address().port}/x`}});
  const viewer = view(t, `${server.base}/stream.mp4?src=dumb`);
  await waitFor('the start', async () => await server.state('dumb') === 'starting');
  const {code, ms} = await server.stop();
  assert.equal(code, 0);
  figure(t, `ended after ${ms} ms`);
  await viewer.done;
});

test('a full disk refuses the change and keeps what was there', async t => {
  const small = mkdtempSync(join(tmpdir(), 'spotter-small-'));
  const {code} = await run('mount', ['-t', 'tmpfs', '-o', 'size=64k', 'tmpfs', small]);
  if (code) {
    rmdirSync(small);
    t.skip('mounting a small tmpfs needs root');
    return;
  }
  t.after(async () => {
    await run('umount', ['-l', small]);
    rmdirSync(small);
  });
  const server = await startSpotter(t, {options: {'app.state': join(small, 'streams.yaml')}});
  assert.equal((await server.add('first', 'test:ball')).status, 200);
  await run('dd', ['if=/dev/zero', `of=${join(small, 'filler')}`, 'bs=1k', 'count=200']);
  const refused = await server.add('second', 'test:ball');
  assert.equal(refused.status, 500);
  assert.match((await refused.json()).error, /could not be written/);
  await run('rm', [join(small, 'filler')]);
  assert.equal((await server.add('third', 'test:ball')).status, 200);
  const again = await startSpotter(t, {options: {'app.state': join(small, 'streams.yaml')}});
  assert.deepEqual(Object.keys(await again.json('/api/streams')).sort(), ['first', 'third']);
});

test('mutated requests: the server lives, serves and does not grow', async t => {
  const server = await startSpotter(t, {streams: {ball: 'test:ball'}, options: {'api.timeout': '300ms'}});
  const seeds = ['GET /api/streams?src=ball HTTP/1.1\r\nHost: localhost\r\n\r\n',
    'PUT /api/streams?name=a&src=test:ball HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n',
    'POST /api/streams HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 30\r\n\r\n{"name":"a","src":"test:ball"}',
    'GET /stream.mp4?src=ball&duration=0.1 HTTP/1.1\r\nHost: localhost\r\n\r\n',
    'GET /api/frame.jpeg?src=ball&width=64&rotate=90 HTTP/1.1\r\nHost: localhost\r\nAuthorization: Basic YTpi\r\n\r\n'];
  let state = 12345; // the same mutations in every run
  const random = n => { state = (state * 1103515245 + 12345) & 0x7fffffff; return state % n; };
  const mutate = text => {
    const bytes = Buffer.from(text, 'latin1');
    for (let i = random(6); i >= 0; i--)
      bytes[random(bytes.length)] = random(256);
    return bytes.subarray(0, random(4) ? bytes.length : random(bytes.length));
  };
  await server.get('/api/frame.jpeg?src=ball');
  const rounds = SECONDS > 10 ? 10000 : 1000;
  for (let i = 0; i < rounds; i += 50) {
    const batch = Array.from({length: 50}, () => rawSocket(t, server.port, mutate(seeds[random(seeds.length)])));
    await waitFor('answers or cuts', () => batch.every(one => one.text || one.closed));
    batch.forEach(one => one.socket.destroy());
  }
  assert.equal((await server.get('/api/frame.jpeg?src=ball')).status, 200);
  figure(t, `${rounds} mutated requests; ${countFds(server.pid)} descriptors open, RSS ${rssKiB(server.pid) >> 10} MiB`);
});

