// SPDX-License-Identifier: LGPL-2.1-or-later
// Poses: messages to the letter of the contract, who gets them, push, drawn into the picture, and in the browser.

import {test} from 'node:test';
import assert from 'node:assert/strict';
import {createHash} from 'node:crypto';
import {createServer} from 'node:http';
import {once} from 'node:events';
import {readFileSync, readdirSync, writeFileSync} from 'node:fs';
import {join} from 'node:path';
import {isWall, keep, look, openBrowser, openPage, player} from '../lib/browser.mjs';
import {SPOTTER, run, start, startCamera, startSpotter, temporaryDirectory, waitFor} from '../lib/lib.mjs';
import {measureSkew, offsets, share, skewOptions} from '../lib/skew.mjs';
import {WsClient} from '../lib/ws.mjs';

const CLIMBER = {streams: {camera: 'test:climber', ball: 'test:ball'}};
const poses = client => client.texts.filter(({type}) => type === 'pose');

/** One pose message, member by member (api.md 3). */
function check(pose, source = 'camera') {
  assert.equal(pose.type, 'pose');
  assert.equal(pose.source, source);
  assert.ok(Number.isInteger(pose.frame_number) && pose.frame_number >= 0);
  assert.ok(Math.abs(pose.timestamp - Date.now() / 1000) < 60, `epoch seconds: ${pose.timestamp}`);
  assert.ok(Number.isInteger(pose.pts) && pose.pts > 0);
  assert.ok('rtp_timestamp' in pose);
  assert.deepEqual([pose.width, pose.height], [1280, 720]);
  assert.equal(pose.landmarks.length, 33);
  assert.equal(pose.world_landmarks.length, 33);
  for (const {x, y, z, visibility} of pose.landmarks)
    assert.ok([x, y, z, visibility].every(Number.isFinite) && visibility >= 0 && visibility <= 1 && Math.abs(x) < 3 && Math.abs(y) < 3);
  assert.ok(pose.world_landmarks.every(({x, y, z}) => Math.hypot(x, y, z) < 2));
  for (const value of Object.values(pose))
    assert.ok(!Array.isArray(value) || value.every(item => item !== null && typeof item === 'object'), 'lists hold objects only');
  assert.equal(pose.people, 1);
  assert.ok(pose.latency_ms >= 0);
}

test('a subscriber gets a message an analysed frame, a new one the last at once; nobody there: nothing', async t => {
  const server = await startSpotter(t, CLIMBER);
  const client = new WsClient(t, server, '/ws/pose/');
  const empty = new WsClient(t, server, '/ws/pose/ball?empty=1&heartbeat=1');
  await waitFor('poses', () => poses(client).length > 20);
  const all = poses(client);
  all.forEach(pose => check(pose));
  const steps = all.slice(1).map((pose, i) => pose.frame_number - all[i].frame_number);
  assert.ok(steps.every(step => step >= 1), 'numbers go up');
  const nose = all.at(-1).landmarks[0], hip = all.at(-1).landmarks[23];
  assert.ok(nose.y < hip.y && nose.x > 0.2 && nose.x < 0.8, 'the drawn climber, head up');
  const late = new WsClient(t, server, '/ws/pose?src=camera');
  await waitFor('the first', () => poses(late).length > 0);
  check(poses(late)[0]);
  await waitFor('empty lists', () => poses(empty).length > 3);
  assert.ok(poses(empty).every(({landmarks, world_landmarks, people}) => !landmarks.length && !world_landmarks.length && people === 0));
  await waitFor('a status', () => empty.texts.some(({type, state}) => type === 'status' && state === 'live'));
  const {branches} = await server.json('/api/streams/camera/stats');
  assert.equal(branches.filter(({name}) => name === 'pose').length, 2, 'one detector and its messages');
  const {stats} = branches.find(({element}) => element === 'posedetect');
  assert.ok(stats.analysed > 20 && stats.frames >= stats.analysed && stats.found === 1 && stats.people === 1 && stats.analysis_ms > 0, JSON.stringify(stats));
  const answer = await server.get('/api/pose?src=camera');
  assert.equal(answer.headers.get('content-type'), 'application/json');
  check(await answer.json());
  assert.equal((await server.get('/api/pose?src=nobody')).status, 404);
  assert.equal((await server.get('/ws/pose/camera')).status, 400);
  for (const path of ['/ws/pose/nobody', '/ws/pose/?src=nobody']) {
    const refused = new WsClient(t, server, path);
    await waitFor('404', () => refused.status === 404);
  }
});

test('two people: both in "persons", the first at the top as ever', async t => {
  const crop = (x, side, view) => `climbersrc is-live=true x=${x} view=${view} ! video/x-raw,width=1280,height=720,framerate=15/1 ! videocrop ${side}=640`;
  const launch = `compositor name=c sink_1::xpos=640 ! video/x-raw,format=I420,width=1280,height=720,framerate=15/1 ! identity ` +
    `${crop(0.25, 'right', 'front')} ! c.sink_0 ${crop(0.75, 'left', 'back')} ! c.sink_1`;
  const server = await startSpotter(t, {config: JSON.stringify({streams: {wall: {source: `gst:${launch}`, pose: {people: 2, fps: 5}}}})});
  const client = new WsClient(t, server, '/ws/pose/wall');
  const pose = await waitFor('two people', () => poses(client).find(({people}) => people === 2));
  assert.equal(pose.persons.length, 2);
  assert.notEqual(pose.persons[0].id, pose.persons[1].id);
  assert.deepEqual(pose.landmarks, pose.persons[0].landmarks);
  for (const person of pose.persons)
    assert.deepEqual([person.landmarks.length, person.world_landmarks.length], [33, 33]);
  const sides = pose.persons.map(({landmarks}) => landmarks[0].x < 0.5).sort();
  assert.deepEqual(sides, [false, true]);
});

test('subscribers talk with one another; what is no object is refused; a stranger\'s page may not listen', async t => {
  const server = await startSpotter(t, CLIMBER);
  const [phone, wall, other] = ['camera', 'camera', 'ball'].map(name => new WsClient(t, server, `/ws/pose/${name}`));
  await waitFor('all', () => [phone, wall, other].every(({status}) => status === 101));
  phone.frame(1, JSON.stringify({type: 'session_selected', session: 7, nested: {list: [1, 2]}}));
  const heard = await waitFor('the message', () => wall.texts.find(({type}) => type === 'session_selected'));
  assert.deepEqual(heard, {type: 'session_selected', session: 7, nested: {list: [1, 2]}});
  assert.ok(!phone.texts.some(({type}) => type === 'session_selected'));
  assert.ok(!other.texts.some(({type}) => type === 'session_selected'));
  for (const wrong of ['[1,2]', 'nonsense', '"text"']) {
    const before = phone.texts.length;
    phone.frame(1, wrong);
    await waitFor('the sentence', () => phone.texts.slice(before).some(({type, value}) => type === 'error' && /JSON object/.test(value)));
  }
  phone.frame(1, JSON.stringify({type: 'pose', landmarks: 'forged'}));
  phone.frame(1, JSON.stringify({type: 'after'}));
  await waitFor('what came after', () => wall.texts.some(({type}) => type === 'after'));
  assert.ok(!wall.texts.some(({landmarks}) => landmarks === 'forged'));
  const stranger = new WsClient(t, server, '/ws/pose/', {Origin: 'http://stranger.example'});
  await waitFor('403', () => stranger.status === 403);
});

test('recordings: told to all, kept line by line, one at a time; a disk that cannot be written', async t => {
  const home = temporaryDirectory(t);
  const server = await startSpotter(t, {...CLIMBER, options: {'pose.recordings': join(home, 'films')}});
  const [climber, coach, other] = ['camera', 'camera', 'ball'].map(name => new WsClient(t, server, `/ws/pose/${name}`));
  await waitFor('poses', () => poses(climber).length > 3 && coach.status === 101 && other.status === 101);
  const word = (client, type) => client.texts.find(text => text.type === type);
  climber.frame(1, JSON.stringify({type: 'stop_recording'}));
  await waitFor('the sentence', () => /^stop_recording: the stream is not being recorded/.test(word(climber, 'error')?.value));
  climber.frame(1, JSON.stringify({type: 'start_recording', name: '../../etc/first try'}));
  for (const client of [climber, coach])
    await waitFor('the start', () => word(client, 'recording_started'));
  const {session_id: session, name, source} = word(climber, 'recording_started');
  assert.match(session, /^[0-9a-f]{32}$/);
  assert.deepEqual([name, source], ['../../etc/first try', 'camera']);
  coach.frame(1, JSON.stringify({type: 'start_recording'}));
  await waitFor('the other sentence', () => /is being recorded already/.test(word(coach, 'error')?.value));
  const before = poses(climber).length;
  await waitFor('poses', () => poses(climber).length > before + 20);
  coach.frame(1, JSON.stringify({type: 'stop_recording'}));
  await waitFor('the end', () => word(climber, 'recording_stopped'));
  assert.equal(word(climber, 'recording_stopped').session_id, session);
  assert.equal(word(other, 'recording_started'), undefined);
  const [file, ...more] = readdirSync(join(home, 'films'));
  assert.deepEqual([file, more], [`______etc_first_try-${session}.jsonl`, []]);
  const lines = await waitFor('the file', () => {
    const text = readFileSync(join(home, 'films', file), 'utf8').trim().split('\n');
    return text.length === word(climber, 'recording_stopped').frames && text;
  });
  lines.forEach((line, i) => {
    const pose = JSON.parse(line);
    check(pose);
    assert.equal(pose.frame_number, i);
  });
  assert.ok(lines.length >= 15);
  const broken = await startSpotter(t, {...CLIMBER, options: {'pose.recordings': '/proc/nowhere'}});
  const client = new WsClient(t, broken, '/ws/pose/camera');
  await waitFor('it to be open', () => client.status === 101);
  client.frame(1, JSON.stringify({type: 'start_recording'}));
  await waitFor('why not', () => /^start_recording: the recording cannot be written/.test(word(client, 'error')?.value));
});

test('always: people are looked for though nobody listens, also after the source has come back', async t => {
  const server = await startSpotter(t, {streams: {camera: 'test:climber'}, options: {'pose.enabled': 'always'}});
  const running = async () => (await server.json('/api/streams/camera/stats')).branches.some(({element}) => element === 'posedetect');
  await waitFor('the detector', running);
  await server.add('second', 'test:ball');
  await waitFor('that of the new one', async () => (await server.json('/api/streams/second/stats')).branches.some(({element}) => element === 'posedetect'));
  await fetch(`${server.base}/api/streams?src=second`, {method: 'DELETE'});
  await server.add('camera', 'test:smpte');
  await waitFor('it again', running);
});

test('a stream that goes and comes back keeps its subscribers; its own options stay, and change while it runs', async t => {
  const config = fps => JSON.stringify({streams: {camera: {source: 'test:climber', pose: {fps}}}});
  const server = await startSpotter(t, {config: config(3)});
  const client = new WsClient(t, server, '/ws/pose/');
  const steps = () => poses(client).slice(1).map(({pts}, i) => (pts - poses(client)[i].pts) / 1e9);
  await waitFor('three a second', () => steps().length > 3 && steps().slice(-3).every(step => step > 0.3 && step < 0.4));
  writeFileSync(server.configPath, config(15));
  await waitFor('fifteen a second', () => steps().slice(-3).every(step => step < 0.08));
  await fetch(`${server.base}/api/streams?src=camera`, {method: 'DELETE'});
  await waitFor('it to be gone', async () => !('camera' in await server.json('/api/streams')));
  const before = poses(client).length;
  await server.add('camera', 'test:climber?view=back');
  await waitFor('poses again', () => poses(client).length > before + 5);
  assert.ok(!client.closed);
});

test('pictures that the drawing or the models do not take are converted', async t => {
  const of = format => `gst:climbersrc is-live=true ! video/x-raw,width=640,height=360,framerate=15/1 ! videoconvert ! video/x-raw,format=${format} ! identity`;
  const server = await startSpotter(t, {config: JSON.stringify({streams: {yuy2: of('YUY2'), ten: of('I420_10LE'), gray: of('GRAY8')}})});
  for (const name of ['yuy2', 'ten', 'gray']) {
    assert.equal((await server.get(`/api/frame.jpeg?src=${name}&overlay=pose`)).status, 200, name);
    assert.equal((await server.get(`/api/pose?src=${name}`)).status, 200, name);
  }
});

test('spotter pose prints lines of JSON; an unknown stream is a sentence', async t => {
  const server = await startSpotter(t, CLIMBER);
  const lines = start(t, SPOTTER, ['pose', 'camera', '--url', server.base]);
  check(JSON.parse((await lines.line(/^\{"type":"pose".*\}$/))[0]));
  const {code, stderr} = await run(SPOTTER, ['pose', 'nobody', '--url', server.base]);
  assert.equal(code, 66);
  assert.match(stderr, /stream not found/);
});

/** An application's WebSocket server: echoes what it gets; `stop` and `start` it as one likes. */
function makeApplication(t, {reads = true} = {}) {
  const got = [], sockets = new Set();
  let server, port = 0;
  const frame = text => {
    const data = Buffer.from(text);
    const head = data.length < 126 ? Buffer.from([0x81, data.length]) : Buffer.from([0x81, 126, data.length >> 8, data.length & 255]);
    return Buffer.concat([head, data]);
  };
  const serve = socket => {
    let input = Buffer.alloc(0);
    if (!reads) {
      socket.pause();
      return;
    }
    socket.on('data', chunk => {
      input = Buffer.concat([input, chunk]);
      for (;;) {
        const extra = (input[1] & 127) === 126 ? 2 : 0;
        const size = extra ? input.length >= 4 ? input.readUInt16BE(2) : Infinity : input[1] & 127;
        if (input.length < 6 + extra + size)
          return;
        const mask = input.subarray(2 + extra, 6 + extra);
        const text = Buffer.from(input.subarray(6 + extra, 6 + extra + size).map((byte, i) => byte ^ mask[i % 4]));
        if ((input[0] & 15) === 1) {
          got.push(JSON.parse(text));
          socket.write(frame(text)); // as ProjectClimb does
        }
        input = input.subarray(6 + extra + size);
      }
    });
  };
  const application = {
    got, sockets, get port() { return port; },
    say: object => sockets.forEach(socket => socket.write(frame(JSON.stringify(object)))),
    async start() {
      server = createServer();
      server.on('upgrade', (request, socket) => {
        const key = createHash('sha1').update(`${request.headers['sec-websocket-key']}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest('base64');
        socket.write(`HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${key}\r\n\r\n`);
        socket.on('error', () => {});
        sockets.add(socket);
        socket.on('close', () => sockets.delete(socket));
        serve(socket);
      });
      server.listen(port, '127.0.0.1');
      await once(server, 'listening');
      port = server.address().port;
    },
    async stop() {
      sockets.forEach(socket => socket.destroy());
      server.close();
      await once(server, 'close');
    },
  };
  t.after(() => application.stop().catch(() => {}));
  return application;
}

test('push: to an application that echoes, tells of recordings, goes away and comes back', async t => {
  const application = makeApplication(t);
  await application.start();
  const server = await startSpotter(t, {...CLIMBER, options: {'pose.push': `ws://user:geheim@127.0.0.1:${application.port}/ws/pose/`}});
  await waitFor('poses', () => application.got.length > 10);
  application.got.forEach(pose => check(pose));
  for (const wrong of [{type: 5, x: 'recording_'}, {type: null, x: 'recording_'}, ['recording_'], {x: 'recording_'}])
    application.say(wrong);
  application.say({type: 'recording_started', session_id: 'x'});
  const before = application.got.length;
  await waitFor('numbers from the beginning', () => application.got.slice(before).some(({frame_number}) => frame_number === 0));
  await application.stop();
  await server.line(/INF \[pose\] ws:.*tried again in/);
  await waitFor('nobody to be left', async () => !(await server.json('/api/streams')).camera.consumers.length);
  const gone = application.got.length;
  await application.start();
  await waitFor('poses again', () => application.got.length > gone + 10);
  assert.ok(!server.lines.some(line => line.includes('geheim')));
});

test('push: an application that never reads is left, and nothing piles up', async t => {
  const application = makeApplication(t, {reads: false});
  await application.start();
  const server = await startSpotter(t, {...CLIMBER, options: {'pose.push': `ws://127.0.0.1:${application.port}/`, 'pose.fps': '0'}});
  await server.line(/poses are sent there/);
  await server.line(/the application takes nothing; tried again/);
});

test('drawn: one burned picture for all doors that ask; the skeleton alone without the wall', async t => {
  const server = await startSpotter(t, CLIMBER);
  const home = temporaryDirectory(t);
  const picture = async (path, name) => {
    const {code, stderr} = await run('ffmpeg', ['-v', 'error', '-i', `${server.base}${path}`, '-frames:v', '1', '-y', `${home}/${name}.ppm`]);
    assert.equal(code, 0, stderr);
    const {stdout} = await run('ffmpeg', ['-v', 'error', '-i', `${home}/${name}.ppm`, '-vf', 'scale=160:90', '-pix_fmt', 'rgb24', '-f', 'rawvideo', '-'], {encoding: 'buffer'});
    return [...stdout];
  };
  const dark = pixels => pixels.filter(value => value < 40).length / pixels.length;
  const client = new WsClient(t, server, '/ws/pose/');
  await waitFor('a pose', () => poses(client).length > 5);
  const skeleton = await picture('/frame.jpeg?src=camera&overlay=skeleton', 'skeleton');
  assert.ok(dark(skeleton) > 0.85, `black but for the skeleton: ${dark(skeleton)}`);
  assert.ok(skeleton.some(value => value > 120), 'there is a skeleton');
  const plain = await picture('/frame.jpeg?src=camera', 'plain');
  assert.ok(dark(plain) < 0.3);
  const film = await picture('/stream.mp4?src=camera&overlay=skeleton&duration=2', 'film');
  assert.ok(dark(film) > 0.85);
  const rtsp = await run('ffprobe', ['-v', 'error', '-rtsp_transport', 'tcp', '-show_entries', 'stream=codec_name,width', '-of', 'csv=p=0', `${server.rtsp}/camera?overlay=pose`]);
  assert.match(rtsp.stdout, /h264,1280/);
  const {branches} = await server.json('/api/streams/camera/stats');
  assert.equal(branches.filter(({name, element}) => name === 'pose' && element === 'posedetect').length, 1, 'one detector for all');
  const wrong = await server.get('/frame.jpeg?src=camera&overlay=moustache');
  assert.equal(wrong.status, 400);
});

test('in the browser: the skeleton on exactly its frame, by WebRTC and by MSE', async t => {
  const browser = await openBrowser(t);
  if (!browser)
    return;
  const server = await startSpotter(t, CLIMBER);
  const {page, problems} = await openPage(t, browser, {width: 1280, height: 1400});
  await page.goto(`${server.base}/watch.html?src=camera`);
  for (const mode of ['webrtc', 'mse']) {
    await page.check(`input[value=${mode}]`);
    await waitFor(mode, async () => (await player(page)).mode === mode);
    await page.check('#skeleton');
    await waitFor('the wall', async () => isWall(await look(page, 'video-stream video:not(.waiting)')));
    const counts = () => page.$eval('video-stream', element => ({...element.skeleton.counts}));
    const before = await counts();
    await waitFor('exact frames', async () => (await counts()).exact > before.exact + 30);
    const drawn = await page.$eval('canvas.pose', canvas => canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data.filter((value, i) => i % 4 === 3 && value).length);
    assert.ok(drawn > 500, `${mode}: ${drawn} points are drawn`);
    await keep(page, `skeleton-${mode}`);
  }
  await page.uncheck('#skeleton');
  assert.equal(await page.$('canvas.pose'), null);
  assert.deepEqual(problems, []);
});

for (const [codec, way] of [['h264', 'as the camera encodes it'], ['jpeg', 'as we encode it']])
  test(`skew: the number in the picture and that of the skeleton's picture are one, ${way}`, async t => {
    const browser = await openBrowser(t);
    if (!browser)
      return;
    const camera = await startCamera(t, ['--numbered', '--no-audio', '--kbps', '3000', '--codec', codec]);
    const server = await startSpotter(t, {streams: {camera: camera.url}, options: skewOptions});
    for (const mode of ['webrtc', 'mse']) {
      const {page, problems} = await openPage(t, browser, {width: 1280, height: 1000});
      const skew = await measureSkew(page, server.base, 'camera', mode, 10000);
      t.diagnostic(`figure: ${way}, by ${mode}: ${offsets(skew)}`);
      assert.ok(skew.read > 60, 'enough to judge by');
      assert.ok(share(skew, mode === 'webrtc' ? 0 : 1) >= (mode === 'webrtc' ? 0.99 : 1), offsets(skew));
      assert.ok(Math.round(skew.ticks) <= 1, `times differ by ${skew.ticks} ticks`);
      assert.ok(skew.how.exact > skew.frames * 0.75, 'most frames have their own pose');
      assert.deepEqual(problems, []);
      await page.close();
    }
  });
