// SPDX-License-Identifier: LGPL-2.1-or-later
// Poses when things go wrong: no models, hostile subscribers, subscribers that stand still.

import {test} from 'node:test';
import assert from 'node:assert/strict';
import {countFds, countThreads, rssKiB, startSpotter, waitFor} from '../lib/lib.mjs';
import {WsClient} from '../lib/ws.mjs';

const poses = client => client.texts.filter(({type}) => type === 'pose').length;

test('without models: one sentence that says what to do, and everything else is served', async t => {
  process.env.SPOTTER_MODELS = '/nonexistent';
  t.after(() => { delete process.env.SPOTTER_MODELS; });
  const server = await startSpotter(t, {streams: {camera: 'test:climber'}});
  const client = new WsClient(t, server, '/ws/pose/');
  const {value} = await waitFor('the sentence', () => client.texts.find(({type}) => type === 'error'));
  assert.match(value, /^pose: .*models\.ini is in none of \/nonexistent: \.\/dev build/);
  const answer = await server.get('/api/pose?src=camera');
  assert.ok(answer.status >= 500);
  assert.match(await answer.text(), /\.\/dev build/);
  assert.equal((await server.get('/api/frame.jpeg?src=camera')).status, 200);
  assert.ok((await server.get('/api/frame.jpeg?src=camera&overlay=skeleton')).status >= 500);
  assert.ok(!client.closed);
  assert.equal(client.texts.filter(({type}) => type === 'error').length, 1, 'it is told once');
});

test('hostile messages, subscribers that come and go and stand still: the others get every pose', async t => {
  const server = await startSpotter(t, {streams: {camera: 'test:climber'}, options: {'pose.model': 'lite'}});
  const healthy = new WsClient(t, server, '/ws/pose/');
  await waitFor('poses', () => poses(healthy) > 5, 120000); // under a sanitizer a model takes its time
  const fds = countFds(server.pid), threads = countThreads(server.pid), rss = rssKiB(server.pid);
  const stalled = Array.from({length: 50}, () => {
    const client = new WsClient(t, server, '/ws/pose/camera');
    client.socket.on('data', () => client.socket.pause());
    return client;
  });
  const random = (state => n => { state = (state * 1103515245 + 12345) & 0x7fffffff; return (state >> 8) % n; })(5);
  const seeds = ['{"type":"start_recording","name":{"a":[1]}}', '{"type":"stop_recording"}', '{"type":null}', '{"type":["pose"]}',
    '{"x":1e999}', '[[[[[[', '{"type":"pose","landmarks":[]}', `{"type":"${'x'.repeat(3000)}"}`, '{"a":"\\ud800"}', '{"a":"\u0000"}', ''];
  for (let round = 0; round < 500; round += 25) {
    const batch = Array.from({length: 25}, () => new WsClient(t, server, `/ws/pose/${['', 'camera', '?src=camera&session=x', '?session=%00&empty=1'][random(4)]}`));
    for (const client of batch) {
      const text = Buffer.from(seeds[random(seeds.length)]);
      for (let i = random(4); i > 0 && text.length; i--)
        text[random(text.length)] = random(256);
      client.frame(1, text);
      if (random(3) === 0)
        client.socket.destroy();
    }
    const before = poses(healthy);
    await waitFor('the healthy one', () => poses(healthy) > before);
    batch.forEach(client => client.socket.destroy());
  }
  stalled.forEach(client => client.socket.destroy());
  await waitFor('all to be gone', async () => (await server.json('/api/streams/camera/stats')).viewers.length === 1);
  await waitFor('descriptors and threads', () => countFds(server.pid) <= fds + 2 && countThreads(server.pid) <= threads + 2);
  t.diagnostic(`figure: 500 hostile and 50 stalled subscribers: RSS grew by ${rssKiB(server.pid) - rss} KiB`);
  const numbers = healthy.texts.filter(({type}) => type === 'pose').map(({frame_number}) => frame_number);
  assert.ok(numbers.every((number, i) => !i || number > numbers[i - 1]));
  assert.ok(!healthy.closed);
});
