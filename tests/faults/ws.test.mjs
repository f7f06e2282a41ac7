// SPDX-License-Identifier: LGPL-2.1-or-later
// WebSocket viewers that stand still, and frames that hurt.

import {test} from 'node:test';
import assert from 'node:assert/strict';
import {countFds, rssKiB, startCamera, startSpotter, waitFor} from '../lib/lib.mjs';
import {WsClient} from '../lib/ws.mjs';

const figure = (t, text) => { t.diagnostic(`figure: ${text}`); };

test('a hundred stalled MSE viewers are bounded and cut; the healthy one loses nothing', async t => {
  const camera = await startCamera(t, ['--kbps', '4000', '--size', '1280x720', '--no-audio']);
  const server = await startSpotter(t, {streams: {cam: camera.url}});
  const healthy = new WsClient(t, server, '/api/ws?src=cam');
  let sequence = 0, lost = 0;
  healthy.onbinary = payload => {
    if (payload.toString('latin1', 4, 8) !== 'moof')
      return;
    const number = payload.readUInt32BE(payload.indexOf('mfhd') + 8);
    lost += sequence ? number - sequence - 1 : 0;
    sequence = number;
  };
  healthy.say('mse', 'avc1.640029');
  await waitFor('the healthy one', () => healthy.binaries > 60);
  const fds = countFds(server.pid), before = rssKiB(server.pid);
  healthy.reset();
  const began = performance.now();
  const stalled = Array.from({length: 100}, () => {
    const client = new WsClient(t, server, '/api/ws?src=cam');
    client.onbinary = () => client.socket.pause();
    client.say('mse', 'avc1.640029');
    return client;
  });
  await waitFor('all to have begun', () => stalled.every(client => client.binaries));
  let peak = 0;
  await waitFor('the cut', async () => {
    peak = Math.max(peak, rssKiB(server.pid));
    return (await server.json('/api/streams?src=cam')).consumers.length === 1;
  });
  figure(t, `100 stalled: cut after ${((performance.now() - began) / 1000).toFixed(1)} s, ${((peak - before) / 100).toFixed(0)} KiB of RSS each at the peak; ` +
    `the healthy one lost ${lost} fragments, longest gap ${Math.round(healthy.longestGap)} ms`);
  await waitFor('descriptors to return', () => countFds(server.pid) <= fds);
  assert.equal(lost, 0);
  assert.ok(!healthy.closed);
});

test('a thousand mutated frames: the server lives and serves', async t => {
  const server = await startSpotter(t, {streams: {ball: 'test:ball'}});
  const healthy = new WsClient(t, server, '/api/ws?src=ball');
  healthy.say('mse', 'avc1.640029');
  await waitFor('the healthy one', () => healthy.binaries > 10);
  const random = (state => n => { state = (state * 1103515245 + 12345) & 0x7fffffff; return (state >> 8) % n; })(99);
  const seeds = ['{"type":"mse","value":"avc1.640029"}', '{"type":"mjpeg"}', '{"type":"mse","value":null}', '[[[[[[[[', '{"type":"webrtc/offer","value":"v=0"}', ''];
  for (let round = 0; round < 1000; round += 25) {
    const batch = Array.from({length: 25}, () => new WsClient(t, server, '/api/ws?src=ball'));
    for (const client of batch) {
      const text = Buffer.from(seeds[random(seeds.length)]);
      const frame = Buffer.concat([Buffer.from([0x81, 0x80 | text.length, 0, 0, 0, 0]), text]);
      for (let i = random(4); i > 0; i--)
        frame[random(frame.length)] = random(256);
      client.send(frame);
      client.send(frame.subarray(0, random(frame.length)));
    }
    await waitFor('answers', () => batch.every(client => client.status));
    batch.forEach(client => client.socket.end());
    await Promise.all(batch.map(client => client.done));
  }
  const {binaries} = healthy;
  await waitFor('the healthy one to go on', () => healthy.binaries > binaries + 10);
  await waitFor('one consumer', async () => (await server.json('/api/streams?src=ball')).consumers.length === 1);
});
