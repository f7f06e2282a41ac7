// SPDX-License-Identifier: LGPL-2.1-or-later
// The WebSocket door: MSE and MJPEG, word by word, and what strangers send.

import {test} from 'node:test';
import assert from 'node:assert/strict';
import {writeFileSync} from 'node:fs';
import {join} from 'node:path';
import {countFds, probe, startCamera, startSpotter, temporaryDirectory, view, waitFor} from '../lib/lib.mjs';
import {WsClient} from '../lib/ws.mjs';

test('mse: codecs, the init segment, then fragments from a keyframe on; the MP4 door\'s track', async t => {
  const camera = await startCamera(t);
  const server = await startSpotter(t, {streams: {cam: camera.url}});
  const mp4 = view(t, `${server.base}/stream.mp4?src=cam`);
  await waitFor('the MP4 viewer', () => mp4.bytes > 50000);
  const client = new WsClient(t, server, '/api/ws?src=cam');
  const parts = [];
  client.onbinary = payload => parts.push(Buffer.from(payload));
  client.say('unheard-of', 'x');
  client.say('mse', 'avc1.640029,hvc1.1.6.L153.B0,mp4a.40.2,opus');
  await waitFor('two seconds', () => client.binaries > 100);
  assert.match(client.head, /Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK\+xOo=/);
  assert.deepEqual(client.texts.map(({type}) => type), ['mse', 'mse/session']);
  assert.match(client.texts[1].value, /^[0-9a-f]{32}$/);
  assert.match(client.texts[0].value, /^video\/mp4; codecs="avc1\.[0-9A-F]{6},mp4a\.40\.2"$/);
  assert.equal(client.texts[0].type, 'mse');
  assert.equal(parts[0].toString('latin1', 4, 8), 'ftyp');
  assert.ok(parts.slice(1).every(part => part.toString('latin1', 4, 8) === 'moof'));
  const file = join(temporaryDirectory(t), 'mse.mp4');
  writeFileSync(file, Buffer.concat(parts));
  const {video, audio, format} = await probe(file);
  assert.equal(video.codec_name, 'h264');
  assert.equal(audio.codec_name, 'aac');
  assert.ok(Math.abs(Number(format.start_time)) < 0.2, 'a session starts at zero');
  const {branches} = await server.json('/api/streams/cam/stats');
  assert.deepEqual(branches.map(branch => branch.name), ['mp4']);
  const formats = (await server.json('/api/streams?src=cam')).consumers.map(consumer => consumer.format_name).sort();
  assert.deepEqual(formats, ['mp4', 'mse/fmp4']);
});

test('mse takes what the browser plays; errors name the request; mjpeg follows on the same socket', async t => {
  const server = await startSpotter(t, {streams: {bars: 'test:smpte', wrong: 'rtsp://127.0.0.1:9/x'}});
  const client = new WsClient(t, server, '/api/ws?src=bars');
  let picture;
  client.onbinary = payload => { picture = Buffer.from(payload); };
  client.say('mse', 'av99');
  await waitFor('the error', () => client.texts.length === 1);
  assert.equal(client.texts[0].type, 'error');
  assert.match(client.texts[0].value, /^mse: none of the codecs/);
  client.say('mse', 'avc1.640029'); // no sound
  await waitFor('fragments', () => client.binaries > 5);
  assert.match(client.texts[1].value, /^video\/mp4; codecs="avc1\.[0-9A-F]{6}"$/);
  client.say('mjpeg');
  await waitFor('a picture', () => picture?.[0] === 0xff && picture[1] === 0xd8);
  assert.deepEqual(client.texts[3], {type: 'mjpeg'});
  await waitFor('one consumer', async () => {
    const {consumers} = await server.json('/api/streams?src=bars');
    return consumers.length === 1 && consumers[0].format_name === 'mjpeg';
  });
  const wrong = new WsClient(t, server, '/api/ws?src=wrong');
  wrong.say('mse', 'avc1.640029');
  await waitFor('the error', () => wrong.texts.length === 1);
  assert.match(wrong.texts[0].value, /^mse: .{5,}/);
  assert.ok(!wrong.closed);
});

test('a codec that a container cannot carry is a sentence with both in it', async t => {
  const server = await startSpotter(t, {streams: {bars: 'test:smpte'}});
  const response = await server.get('/stream.mp4?src=bars&video=vp8');
  assert.equal(response.status, 501);
  assert.match(await response.text(), /mp4 cannot carry video\/x-vp8/);
});

test('who may not, and what is no WebSocket', async t => {
  const server = await startSpotter(t, {streams: {bars: 'test:smpte'}});
  const status = async (path, headers) => {
    const client = new WsClient(t, server, path, headers);
    await waitFor('an answer', () => client.status);
    return client.status;
  };
  assert.equal(await status('/api/ws?src=nope'), 404);
  assert.equal(await status('/api/ws'), 404);
  assert.equal(await status('/api/ws?src=bars', {Origin: 'https://evil.example'}), 403);
  assert.equal(await status('/api/ws?src=bars', {'Sec-WebSocket-Version': '8'}), 400);
  assert.equal((await server.get('/api/ws?src=bars')).status, 400);
  assert.equal(await status('/api/ws?src=bars', {Origin: server.base}), 101);
});

test('frames of every kind: fragments, pings, control, too large, unmasked, cut', async t => {
  const server = await startSpotter(t, {streams: {bars: 'test:smpte'}});
  const open = () => new WsClient(t, server, '/api/ws?src=bars');
  const good = open();
  good.frame(1, '{"type":', {last: false});
  good.frame(9, 'hello');
  good.frame(0, '"mse","value":"avc1.640029"}');
  await waitFor('fragments and a pong', () => good.binaries > 3 && good.pong === 'hello');
  good.frame(2, Buffer.alloc(1000)); // binary is ignored
  good.frame(1, 'no json');
  good.frame(1, '[]');
  good.frame(1, '{"type":5}');
  good.frame(1, '{"type":"mse","value":{"a":[1]}}');
  const {binaries} = good;
  await waitFor('it to go on', () => good.binaries > binaries + 10);
  good.frame(8, Buffer.from([3, 232]));
  await good.done;
  assert.equal(good.code, 1000);
  for (const [what, send, code] of [
    ['unmasked', client => client.frame(1, '{}', {masked: false}), 1002],
    ['a continuation of nothing', client => client.frame(0, 'x'), 1002],
    ['a second beginning', client => { client.frame(1, 'x', {last: false}); client.frame(1, 'y'); }, 1002],
    ['reserved bits', client => client.send(Buffer.from([0xf1, 0x80, 1, 2, 3, 4])), 1002],
    ['a fragmented ping', client => client.frame(9, 'x', {last: false}), 1002],
    ['an endless length', client => client.send(Buffer.from([0x81, 0xff, 255, 255, 255, 255, 255, 255, 255, 255, 1, 2, 3, 4])), 1009],
    ['too much in parts', client => { for (let i = 0; i < 8; i++) client.frame(i ? 0 : 1, Buffer.alloc(10000, 120), {last: false}); }, 1009],
  ]) {
    const client = open();
    send(client);
    await client.done;
    assert.equal(client.code, code, what);
  }
  // one who says goodbye, or is told it, and stays
  const fds = countFds(server.pid);
  const [stays, floods] = [open(), open()];
  stays.socket.allowHalfOpen = floods.socket.allowHalfOpen = true;
  stays.say('mse', 'avc1.640029');
  await waitFor('fragments', () => stays.binaries > 3);
  stays.frame(8, Buffer.from([3, 232]));
  await waitFor('the answer', () => floods.status);
  for (let i = 0; i < 500; i++)
    floods.say('mse', 'avc1.640029');
  await waitFor('both to be told', () => stays.code === 1000 && floods.code === 1008);
  await waitFor('no consumer', async () => !(await server.json('/api/streams?src=bars')).consumers.length);
  await waitFor('their sockets to go', () => countFds(server.pid) <= fds);
  for (let i = 0; i < 50; i++) {
    const client = open();
    await waitFor('the answer', () => client.status);
    client.say('mse', 'avc1.640029');
    client.socket.end(Buffer.from([0x81, 0x90, 1]));
    await client.done;
  }
  await waitFor('descriptors to return', () => countFds(server.pid) <= fds);
});
