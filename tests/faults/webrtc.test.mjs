// SPDX-License-Identifier: LGPL-2.1-or-later
// What strangers send to WebRTC's door, and viewers that come and go.

import {test} from 'node:test';
import assert from 'node:assert/strict';
import {readFileSync} from 'node:fs';
import {join, resolve} from 'node:path';
import {countFds, countThreads, rssKiB, run, startSpotter, view, waitFor} from '../lib/lib.mjs';

const BUILD = resolve(process.env.SPOTTER_BUILD ?? 'build');
const LONG = Boolean(process.env.SPOTTER_FAULT_SECONDS);

/** Reproducible: the same corpus in each run (mulberry32). */
function generator(seed) {
  return below => {
    seed = (seed + 0x6d2b79f5) | 0;
    let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) % below;
  };
}

const OFFER = readFileSync(new URL('offer.sdp', import.meta.url), 'utf8').replaceAll(/\r?\n/g, '\r\n');

function mutate(text, random) {
  const lines = text.split('\r\n');
  const at = random(lines.length), other = random(lines.length);
  switch (random(7)) {
    case 0: lines.splice(at, 1); break;
    case 1: lines.splice(at, 0, lines[other]); break;
    case 2: [lines[at], lines[other]] = [lines[other], lines[at]]; break;
    case 3: lines[at] = lines[at].slice(0, random(lines[at].length + 1)); break;
    case 4: lines[at] += ['%s%n', '\u0001\u00ff', ' 0'.repeat(200), '; profile-level-id=ffffff', '4294967296'][random(5)]; break;
    case 5: lines[at] = lines[at].replace(/\d+/g, () => String([0, -1, 127, 128, 65536, 2 ** 32, 2 ** 63][random(7)])); break;
    default: lines.length = at + 1;
  }
  return lines.join('\r\n');
}

test('a thousand spoilt offers: each is answered or refused with a sentence, and nothing is left', async t => {
  const server = await startSpotter(t, {streams: {bars: 'test:smpte'}, options: {'webrtc.max_pending': '10000'}});
  const keep = view(t, `${server.base}/stream.mp4?src=bars`);
  await waitFor('the stream', () => keep.bytes > 0);
  const random = generator(7), seen = {};
  const threads = countThreads(server.pid);
  for (let i = 0; i < 1000; i++) {
    let offer = OFFER;
    for (let n = 1 + random(5); n > 0; n--)
      offer = mutate(offer, random);
    const response = await fetch(`${server.base}/whep/bars`, {method: 'POST', body: offer,
      headers: {'Content-Type': 'application/sdp'}});
    const text = await response.text();
    seen[response.status] = (seen[response.status] ?? 0) + 1;
    assert.ok([201, 400, 501].includes(response.status), `${response.status} ${text}\n${offer}`);
    if (response.status === 201)
      assert.equal((await fetch(server.base + response.headers.get('location'), {method: 'DELETE'})).status, 200);
    else
      assert.match(text, /^[a-z].{10,}\n$/);
  }
  t.diagnostic(`figure: of 1,000 offers ${Object.entries(seen).map(([status, n]) => `${n} × ${status}`).join(', ')}`);
  assert.ok(seen[201] > 50 && seen[400] > 50);
  await waitFor('the threads to end', () => countThreads(server.pid) <= threads + 2);
  assert.equal(keep.closed, false);
});

test('viewers come and go: files, threads and memory come back', async t => {
  const many = LONG ? 10 : 5, rounds = LONG ? 50 : 4; // under a sanitizer each costs five times as much
  const server = await startSpotter(t, {streams: {bars: 'test:smpte'}, options: {'webrtc.max_viewers': '1000'}});
  const keep = view(t, `${server.base}/stream.mp4?src=bars`);
  await waitFor('the stream', () => keep.bytes > 0);
  const cycle = async n => {
    const {code, stdout, stderr} = await run(join(BUILD, 'tests/webrtc-client'),
      [`${server.base}/whep/bars`, String(many), String(n), '0'],
      {timeout: 0, env: {...process.env, ASAN_OPTIONS: 'detect_leaks=0'}}); // the client's own are of no interest
    assert.equal(code, 0, stderr);
    await waitFor('them to be gone', async () => {
      const {viewers} = await server.json('/api/streams/bars/stats');
      return viewers.every(({format_name}) => format_name === 'mp4');
    });
    return stdout;
  };
  await cycle(2);
  await waitFor('the first ones\' threads', () => countThreads(server.pid) < 40);
  const before = {fds: countFds(server.pid), threads: countThreads(server.pid), rss: rssKiB(server.pid)};
  await cycle(rounds);
  await waitFor('their threads and files', () =>
    countThreads(server.pid) <= before.threads + 2 && countFds(server.pid) <= before.fds + 2);
  const grown = (rssKiB(server.pid) - before.rss) / (rounds * many);
  t.diagnostic(`figure: ${rounds * many} joined and left: ${grown.toFixed(1)} KiB each stay`);
  assert.equal(keep.closed, false);
});

test('too many: of one stream, and of those that never connect', async t => {
  const server = await startSpotter(t, {streams: {bars: 'test:smpte'},
    options: {'webrtc.max_pending': '3'}});
  const post = () => fetch(`${server.base}/whep/bars`, {method: 'POST', body: OFFER, headers: {'Content-Type': 'application/sdp'}});
  const answers = await Promise.all(Array.from({length: 6}, post));
  assert.deepEqual(answers.map(({status}) => status).sort(), [201, 201, 201, 503, 503, 503]);
  assert.match(await answers.find(({status}) => status === 503).text(), /still being made/);
  await waitFor('them to be given up', async () => (await server.json('/api/streams/bars/stats')).viewers.length === 0);
  assert.equal((await post()).status, 201);
});
