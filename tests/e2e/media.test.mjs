// SPDX-License-Identifier: LGPL-2.1-or-later
// The media doors with real clients on real sources.

import {test} from 'node:test';
import assert from 'node:assert/strict';
import {writeFileSync} from 'node:fs';
import {join} from 'node:path';
import {probe, run, startCamera, startSpotter, temporaryDirectory, view, waitFor} from '../lib/lib.mjs';

const fetchTo = async (server, directory, name, query) => {
  const path = join(directory, name);
  const {code} = await run('curl', ['-s', '-o', path, `${server.base}/${name}?${query}`]);
  return {path, code};
};

test('MP4, TS, MJPEG and pictures of one RTSP camera over one connection, without a codec for H.264', async t => {
  const camera = await startCamera(t);
  const server = await startSpotter(t);
  const directory = temporaryDirectory(t);
  assert.equal((await server.add('cam2', camera.url)).status, 200);
  assert.equal(await server.state('cam2'), 'idle'); // adding opens nothing
  assert.equal(camera.connections(), 0);

  const [mp4, ts] = await Promise.all([
    fetchTo(server, directory, 'stream.mp4', 'src=cam2&duration=2'),
    fetchTo(server, directory, 'stream.ts', 'src=cam2&duration=2'),
  ]);
  for (const file of [mp4, ts]) {
    assert.equal(file.code, 0);
    const {video, audio} = await probe(file.path);
    assert.equal(video.codec_name, 'h264');
    assert.equal(video.width, 640);
    assert.ok(Number(video.nb_read_frames) >= 45, `${video.nb_read_frames} frames in 2 s`);
    assert.equal(audio.codec_name, 'aac');
  }
  const {video, format} = await probe(mp4.path);
  assert.ok(Math.abs(Number(format.start_time)) < 0.2, 'a session starts at zero');
  assert.ok(Number(video.nb_read_frames) <= 62 + 30, 'at most the cached GOP more');
  const {branches} = await server.json('/api/streams/cam2/stats');
  assert.deepEqual(branches.map(branch => branch.name).sort(), ['mp4', 'ts']);

  const mjpeg = view(t, `${server.base}/stream.mjpeg?src=cam2`, {keep: true});
  await waitFor('ten pictures', () => mjpeg.body().toString('latin1').split('--frame\r\n').length > 10);
  assert.equal(mjpeg.headers['content-type'], 'multipart/x-mixed-replace; boundary=frame');
  const picture = await server.get('/api/frame.jpeg?src=cam2');
  assert.equal(picture.headers.get('content-type'), 'image/jpeg');
  assert.deepEqual([...new Uint8Array(await picture.arrayBuffer()).slice(0, 2)], [0xff, 0xd8]);
  assert.equal(camera.connections(), 1);
  // no decoder error in what ffmpeg reads
  const {stderr} = await run('ffmpeg', ['-v', 'error', '-i', mp4.path, '-map', '0:v', '-f', 'rawvideo', '-y', '/dev/null']);
  assert.equal(stderr, '');
});

test('twenty MP4 viewers of an H.264 camera run no codec; all get the same frames', async t => {
  const camera = await startCamera(t);
  const server = await startSpotter(t, {streams: {cam: camera.url}});
  const viewers = Array.from({length: 20}, () => view(t, `${server.base}/stream.mp4?src=cam`));
  await waitFor('all viewers to get 200 kB', () => viewers.every(viewer => viewer.bytes > 200000));
  const {branches} = await server.json('/api/streams/cam/stats');
  assert.deepEqual(branches.map(branch => branch.name), ['mp4']);
  assert.equal(branches[0].viewers, 20);
  assert.equal((await server.json('/api/streams?src=cam')).consumers.length, 20);
  assert.equal(camera.connections(), 1);
  viewers.forEach(viewer => viewer.close());
  await waitFor('the viewers to be gone', async () =>
    (await server.json('/api/streams?src=cam')).consumers.length === 0);
});

test('a raw picture watched as MP4, TS and MJPEG is encoded once per codec', async t => {
  const server = await startSpotter(t, {streams: {bars: 'test:smpte'}});
  const viewers = ['mp4', 'mp4', 'ts', 'ts', 'mjpeg', 'mjpeg'].map(kind =>
    view(t, `${server.base}/stream.${kind}?src=bars`));
  await waitFor('all to play', () => viewers.every(viewer => viewer.bytes > 20000));
  const {branches} = await server.json('/api/streams/bars/stats');
  const count = name => branches.filter(branch => branch.name === name).length;
  assert.deepEqual([count('h264'), count('jpeg'), count('aac'), count('decode')], [1, 1, 1, 0]);
  const graph = await (await server.get('/api/streams/bars/graph')).text();
  assert.match(graph, /x264enc/);
  assert.equal(graph.match(/shape=ellipse/g).length, 6);
});

test('a late joiner starts at once with a keyframe from the cache, whatever the keyframe distance', async t => {
  const camera = await startCamera(t, ['--gop', '8']);
  const server = await startSpotter(t, {streams: {cam: camera.url}});
  const directory = temporaryDirectory(t);
  const first = view(t, `${server.base}/stream.mp4?src=cam`);
  await waitFor('two seconds of video', async () =>
    (await server.json('/api/streams/cam/stats')).tracks[0].gop_units > 60);
  const joiner = view(t, `${server.base}/stream.mp4?src=cam`, {keep: true});
  await waitFor('a burst', () => joiner.bytes > 0);
  const units = (await server.json('/api/streams/cam/stats')).tracks[0].gop_units;
  await waitFor('the cached group', () => joiner.bytes > 100000);
  joiner.close();
  first.close();
  const path = join(directory, 'joiner.mp4');
  writeFileSync(path, joiner.body());
  const {video} = await probe(path);
  assert.ok(units > 60 && Number(video.nb_read_frames) > 20, `${video.nb_read_frames} of ${units} frames`);
});

test('sound of a microphone that G.711 codes comes out as AAC, with the picture', async t => {
  const server = await startSpotter(t, {streams: {cam:
    'gst:videotestsrc is-live=true ! video/x-raw,framerate=30/1,width=320,height=240 ! x264enc tune=zerolatency key-int-max=30 ' +
    'audiotestsrc is-live=true ! audio/x-raw,rate=8000,channels=1 ! mulawenc'}});
  const directory = temporaryDirectory(t);
  const {path} = await fetchTo(server, directory, 'stream.mp4', 'src=cam&duration=2');
  const {video, audio} = await probe(path);
  assert.equal(video.codec_name, 'h264');
  assert.equal(audio.codec_name, 'aac');
  assert.ok(Math.abs(Number(video.start_time) - Number(audio.start_time)) < 0.25);
});

test('silent sound never gates the picture', async t => {
  const server = await startSpotter(t, {streams: {cam:
    'gst:videotestsrc is-live=true ! video/x-raw,framerate=30/1,width=320,height=240 ! x264enc tune=zerolatency key-int-max=30 ' +
    'audiotestsrc is-live=true num-buffers=60 ! audio/x-raw,rate=48000,channels=1 ! avenc_aac'}});
  const viewer = view(t, `${server.base}/stream.mp4?src=cam`);
  await waitFor('video', () => viewer.bytes > 1000);
  const units = async () => (await server.json('/api/streams/cam/stats')).branches[0].units;
  const before = await units();
  await waitFor('video long after the last sound', async () => await units() > before + 150);
  assert.ok(!viewer.closed);
});

test('H.265 passes through as it is, and as H.264 when asked', async t => {
  const camera = await startCamera(t, ['--codec', 'h265', '--no-audio']);
  const server = await startSpotter(t, {streams: {cam: camera.url}});
  const directory = temporaryDirectory(t);
  const plain = await fetchTo(server, directory, 'stream.mp4', 'src=cam&duration=1');
  assert.equal((await probe(plain.path)).video.codec_name, 'hevc');
  const asked = await fetchTo(server, directory, 'stream.mp4', 'src=cam&duration=1&video=h264');
  assert.equal((await probe(asked.path)).video.codec_name, 'h264');
});

test('a file is played in real time, in a loop when asked, and ends its viewers when not', async t => {
  const directory = temporaryDirectory(t);
  const film = join(directory, 'film.mp4');
  await run('ffmpeg', ['-v', 'error', '-f', 'lavfi', '-i', 'testsrc2=size=320x240:rate=25:duration=2',
    '-f', 'lavfi', '-i', 'sine=duration=2', '-c:v', 'libx264', '-g', '25', '-bf', '2', '-c:a', 'aac', film]);
  const server = await startSpotter(t, {streams: {once: `file://${film}`, loop: `file://${film}#loop`}});
  const began = Date.now();
  const once = view(t, `${server.base}/stream.mp4?src=once`, {keep: true});
  await once.done;
  assert.ok(Date.now() - began > 1500, 'it was not played in real time');
  const path = join(directory, 'once.mp4');
  writeFileSync(path, once.body());
  const {video, audio} = await probe(path);
  assert.ok(Number(video.nb_read_frames) >= 45);
  assert.equal(audio.codec_name, 'aac');
  await waitFor('the stream to rest', async () => await server.state('once') === 'idle');
  const loop = await fetchTo(server, directory, 'stream.mp4', 'src=loop&duration=5');
  assert.ok(Number((await probe(loop.path)).video.nb_read_frames) >= 100);
});

test('pictures: size, turn, cache, MP4 frame', async t => {
  const server = await startSpotter(t, {streams: {ball: 'test:ball?size=640x480'}});
  const directory = temporaryDirectory(t);
  const size = async query => {
    const path = join(directory, 'frame.jpeg');
    await run('curl', ['-s', '-o', path, `${server.base}/api/frame.jpeg?src=ball${query}`]);
    const {video} = await probe(path);
    return [video.width, video.height];
  };
  assert.deepEqual(await size(''), [640, 480]);
  assert.deepEqual(await size('&width=320'), [320, 240]);
  assert.deepEqual(await size('&w=100&h=50'), [100, 50]);
  assert.deepEqual(await size('&rotate=90'), [480, 640]);
  assert.deepEqual(await size('&rotate=-90&height=320'), [240, 320]);
  const body = async query => Buffer.from(await (await server.get(`/api/frame.jpeg?src=ball${query}`)).arrayBuffer());
  const first = await body('');
  assert.ok(first.equals(await body('&cache=60s')));
  assert.equal((await server.get('/api/frame.jpeg?src=ball&width=-1')).status, 400);
  assert.equal((await server.get('/api/frame.jpeg?src=ball&width=99999')).status, 400);
  const {path} = await fetchTo(server, directory, 'frame.mp4', 'src=ball');
  assert.equal((await probe(path)).video.nb_read_frames, '1');
});

test('spotter launch serves what gst-launch would play, also when nothing in it is live', async t => {
  const server = await startSpotter(t, {launch: ['--name', 'cam', 'videotestsrc', '!',
    'video/x-raw,width=320,height=240,framerate=30/1', '!', 'x264enc', 'tune=zerolatency']});
  const directory = temporaryDirectory(t);
  const {path} = await fetchTo(server, directory, 'stream.mp4', 'src=cam&duration=2');
  const {video} = await probe(path);
  const frames = Number(video.nb_read_frames);
  assert.ok(frames >= 40 && frames <= 80, `${frames} frames in 2 s: not in real time`);
});

test('another size goes on in the same MP4; another codec ends it cleanly, and the next viewer gets it', async t => {
  const small = await startCamera(t, ['--no-audio']);
  const large = await startCamera(t, ['--no-audio', '--size', '1280x720']);
  const hevc = await startCamera(t, ['--no-audio', '--codec', 'h265']);
  const server = await startSpotter(t);
  const directory = temporaryDirectory(t);
  await server.add('cam', small.url);
  const viewer = view(t, `${server.base}/stream.mp4?src=cam`, {keep: true});
  await waitFor('the small picture', () => viewer.bytes > 100000);
  await server.add('cam', large.url);
  await waitFor('the large picture', async () =>
    (await server.json('/api/streams/cam/stats')).tracks[0]?.codec.width === 1280);
  const before = viewer.bytes;
  await waitFor('it to go on', () => viewer.bytes > before + 200000);
  assert.ok(!viewer.closed);
  await server.add('cam', hevc.url);
  await viewer.done;
  const path = join(directory, 'sizes.mp4');
  writeFileSync(path, viewer.body());
  const {stdout} = await run('ffprobe', ['-v', 'error', '-show_entries', 'frame=width', '-of', 'csv=p=0', path]);
  assert.deepEqual([...new Set(stdout.trim().split(/\s+/).map(text => text.replace(/,.*/, '')))], ['640', '1280']);
  const next = await fetchTo(server, directory, 'stream.mp4', 'src=cam&duration=1');
  assert.equal((await probe(next.path)).video.codec_name, 'hevc');
});
