// SPDX-License-Identifier: LGPL-2.1-or-later
// WebRTC over what lies between: loss and delay, TURN; and pictures that browsers cannot take as they are.

import {test} from 'node:test';
import assert from 'node:assert/strict';
import {createSocket} from 'node:dgram';
import {once} from 'node:events';
import {existsSync} from 'node:fs';
import {networkInterfaces} from 'node:os';
import {openBrowser, openPage} from '../lib/browser.mjs';
import {start, startCamera, startSpotter, temporaryDirectory, waitFor} from '../lib/lib.mjs';

const LONG = Boolean(process.env.SPOTTER_FAULT_SECONDS);
const HOST = Object.values(networkInterfaces()).flat().find(({internal, family}) => !internal && family === 'IPv4')?.address;

/** Datagrams between a browser and one address, each lost with `loss`, else later by `delayMs`; `lost` counts them. */
async function startRelay(t, target, loss, delayMs) {
  const [near, far] = [createSocket('udp4'), createSocket('udp4')];
  const relay = {loss, lost: 0, port: 0};
  let browser = null, seed = 1;
  const random = () => { seed = (seed * 16807) % 2147483647; return seed / 2147483647; };
  let open = true;
  const later = send => {
    if (random() < relay.loss)
      relay.lost++;
    else
      setTimeout(() => open && send(), delayMs);
  };
  near.on('message', (data, from) => { browser = from; later(() => far.send(data, target.port, target.address)); });
  far.on('message', data => browser && later(() => near.send(data, browser.port, browser.address)));
  near.bind(0, HOST);
  far.bind(0, HOST);
  await Promise.all([once(near, 'listening'), once(far, 'listening')]);
  t.after(() => { open = false; near.close(); far.close(); });
  relay.port = near.address().port;
  return relay;
}

/** The answer's candidates become one, of a relay to the server's port for media. */
async function applyRelay(t, page, answer, loss, delayMs) {
  const [, port] = answer.match(new RegExp(`a=candidate:\\S+ 1 udp \\d+ ${HOST.replaceAll('.', '\\.')} (\\d+) typ host`));
  const relay = await startRelay(t, {address: HOST, port: Number(port)}, loss, delayMs);
  await page.evaluate(lines => window.applyAnswer(lines), [`a=candidate:1 1 udp 2015363327 ${HOST} ${relay.port} typ host`]);
  return relay;
}

/** Offers by WHEP in the page; there, applyAnswer() goes on with candidates of our choice, figures() tells how it fares. */
const play = (page, src) => page.evaluate(async name => {
  const connection = new RTCPeerConnection();
  connection.addTransceiver('video', {direction: 'recvonly'});
  const video = Object.assign(document.createElement('video'), {muted: true, autoplay: true});
  connection.addEventListener('track', ({track}) => { video.srcObject = new MediaStream([track]); });
  document.body.append(video);
  window.connection = connection;
  await connection.setLocalDescription();
  while (connection.iceGatheringState !== 'complete')
    await new Promise(resolve => connection.addEventListener('icegatheringstatechange', resolve, {once: true}));
  const response = await fetch(`/whep/${name}`, {method: 'POST', headers: {'Content-Type': 'application/sdp'},
    body: connection.localDescription.sdp});
  window.answer = await response.text();
  window.applyAnswer = async lines => {
    const rest = window.answer.split('\r\n').filter(line => !line.startsWith('a=candidate:') && line !== 'a=end-of-candidates');
    const at = rest.findIndex(line => line.startsWith('a=setup:'));
    rest.splice(at, 0, ...lines);
    await connection.setRemoteDescription({type: 'answer', sdp: rest.join('\r\n')});
  };
  window.figures = async () => {
    const inbound = [...(await connection.getStats()).values()].find(({type}) => type === 'inbound-rtp');
    return {frames: inbound?.framesDecoded ?? 0, lost: inbound?.packetsLost ?? 0, nacks: inbound?.nackCount ?? 0,
      delay: inbound ? inbound.jitterBufferDelay / inbound.jitterBufferEmittedCount : 0, plis: inbound?.pliCount ?? 0,
      keyframes: inbound?.keyFramesDecoded ?? 0};
  };
  return {status: response.status, answer: window.answer, link: response.headers.get('link')};
}, src);

test('five per cent of packets lost and 100 ms more on the way: it goes on playing', async t => {
  const browser = await openBrowser(t);
  if (!browser)
    return;
  const server = await startSpotter(t, {streams: {camera: 'test:climber'}, options: {'webrtc.listen': ':0/udp'}});
  const {page} = await openPage(t, browser);
  await page.goto(`${server.base}/stream.html`);
  const {answer} = await play(page, 'camera');
  await applyRelay(t, page, answer, 0.05, 50);
  const figures = () => page.evaluate(() => window.figures());
  await waitFor('it to play', async () => (await figures()).frames > 60);
  const before = await figures();
  const began = Date.now();
  await waitFor('time to pass', () => Date.now() - began > (LONG ? 60000 : 15000), 70000);
  const after = await figures();
  const fps = (after.frames - before.frames) / ((Date.now() - began) / 1000);
  t.diagnostic(`figure: with 5 % loss and 100 ms: ${fps.toFixed(1)} fps, ${after.nacks} asked again, ${after.plis} keyframes asked for, ` +
    `jitter buffer ${(after.delay * 1000).toFixed(0)} ms`);
  assert.ok(after.nacks > 10, 'nothing was lost, so nothing was tested');
  assert.ok(fps > 10, `${fps} fps`);
  assert.ok(after.delay < 2);
  await waitFor('the server to know of it', async () => { // reports are of the last second: some lose nothing
    const {viewers: [viewer]} = await server.json('/api/streams/camera/stats');
    return viewer.loss > 0 && viewer.nacks > 0 && viewer.rtt_ms > 50;
  });
});

/** A viewer of a camera's own H.264 by way of a relay that as yet loses nothing; null without a browser. */
async function watchCamera(t, gopSeconds) {
  const browser = await openBrowser(t);
  if (!browser)
    return null;
  const camera = await startCamera(t, ['--gop', String(gopSeconds), '--kbps', '2000', '--size', '320x180', '--no-audio']);
  const server = await startSpotter(t, {streams: {camera: camera.url}, options: {'webrtc.listen': ':0/udp'}});
  const {page} = await openPage(t, browser);
  await page.goto(`${server.base}/stream.html`);
  const {answer} = await play(page, 'camera');
  const relay = await applyRelay(t, page, answer, 0, 0);
  const figures = () => page.evaluate(() => window.figures());
  const track = async () => (await server.json('/api/streams/camera/stats')).tracks[0];
  await waitFor('pictures', async () => (await figures()).frames > 30);
  const {branches} = await server.json('/api/streams/camera/stats');
  assert.ok(branches.every(({element}) => !element), `passed on as it is: ${JSON.stringify(branches)}`);
  return {server, relay, figures, track};
}

/**
 * Loses more packets than can be sent again, just after a keyframe of the camera. {back: true} when the browser has then
 * decoded a keyframe and all up to the newest picture, though the camera made none; {back: false} when it made one first.
 */
async function comesBack({relay, figures, track}) {
  const {keyframes: made} = await track();
  await waitFor('a keyframe of the camera', async () => (await track()).keyframes > made);
  await waitFor('its whole group', async () => (await track()).gop_units > 10); // two may follow one another
  const [own, before] = [(await track()).keyframes, await figures()];
  relay.lost = 0;
  relay.loss = 1;
  await waitFor('a hole', () => relay.lost > 700); // of 500 the server has copies
  relay.loss = 0;
  return waitFor('pictures', async () => {
    const now = await figures();
    const {keyframes, gop_units: group} = await track();
    if (keyframes > own)
      return {back: false};
    return now.keyframes > before.keyframes && now.frames - before.frames > group - 15 && {back: true, now};
  });
}

test('a picture lost beyond repair comes again out of the cache, not when the camera makes the next keyframe', async t => {
  const watched = await watchCamera(t, 8);
  if (!watched)
    return;
  // the camera may be first on a busy machine: that says nothing
  for (let attempt = 0; attempt < 3; attempt++) {
    const {back, now} = await comesBack(watched);
    if (back) {
      assert.ok(now.plis > 0);
      return;
    }
  }
  assert.fail('three times the picture came back with the camera\'s own keyframe');
});

test('two fifths of the packets lost for seconds: keyframes only; none lost any more: all pictures again', async t => {
  const watched = await watchCamera(t, 1);
  if (!watched)
    return;
  const {server, relay, figures, track} = watched;
  relay.loss = 0.4;
  await server.line(/INF \[webrtc\] camera: webrtc viewer \S+ loses \d+ %: keyframes only$/);
  const said = await figures();
  await waitFor('keyframes of after that', async () => (await figures()).keyframes > said.keyframes + 3);
  const [thin, made] = [await figures(), (await track()).units];
  await waitFor('more of them', async () => (await figures()).keyframes > thin.keyframes + 3);
  const since = await figures();
  assert.equal(since.frames - thin.frames, since.keyframes - thin.keyframes, 'all that came were keyframes');
  t.diagnostic(`figure: with 40 % loss ${since.frames - thin.frames} of ${(await track()).units - made} pictures, keyframes all`);
  assert.ok(!server.lines.some(line => line.includes('all pictures again')), 'it gave up while the loss went on');

  relay.loss = 0;
  await server.line(/INF \[webrtc\] camera: webrtc viewer \S+ loses \d+ %: all pictures again$/);
  const again = await figures();
  await waitFor('a keyframe', async () => (await figures()).keyframes > again.keyframes);
  const [first, before] = [await figures(), (await track()).units];
  await waitFor('time to pass', async () => (await track()).units > before + 120);
  const [last, after] = [await figures(), (await track()).units];
  assert.ok(last.frames - first.frames > (after - before) * 0.8, `${last.frames - first.frames} of ${after - before} pictures`);
});

test('over TCP alone it plays as well', async t => {
  const browser = await openBrowser(t);
  if (!browser)
    return;
  const server = await startSpotter(t, {streams: {camera: 'test:climber'}, options: {'webrtc.listen': ':0/tcp'}});
  const {page} = await openPage(t, browser);
  await page.goto(`${server.base}/stream.html`);
  const {answer} = await play(page, 'camera');
  const candidates = answer.split('\r\n').filter(line => line.startsWith('a=candidate:'));
  assert.ok(candidates.length, answer);
  assert.ok(candidates.every(line => /^a=candidate:\S+ 1 TCP \d+ \S+ \d+ typ host tcptype passive/i.test(line)), candidates.join('\n'));
  await page.evaluate(lines => window.applyAnswer(lines), candidates);
  await waitFor('pictures', async () => (await page.evaluate(() => window.figures())).frames > 30);
  const pair = await page.evaluate(async () => {
    const stats = await window.connection.getStats();
    const chosen = stats.get([...stats.values()].find(({type}) => type === 'transport').selectedCandidatePairId);
    return [chosen.localCandidateId, chosen.remoteCandidateId].map(id => stats.get(id).protocol);
  });
  assert.deepEqual(pair, ['tcp', 'tcp']);
});

test('a TURN server with credentials: candidates of it, and pictures by way of it alone', async t => {
  if (!existsSync('/usr/bin/turnserver')) {
    t.skip('turnserver is missing: apt-get install coturn');
    return;
  }
  // a relay lets in only whom the server has told it of: the browser must not hide its address
  const browser = await openBrowser(t, ['--disable-features=WebRtcHideLocalIpsWithMdns']);
  if (!browser)
    return;
  const directory = temporaryDirectory(t);
  const port = 34780 + process.pid % 1000;
  const turn = start(t, 'turnserver', ['-n', '--no-tls', '--no-dtls', '--no-cli', '--lt-cred-mech', '-u', 'me:secret', '-r', 'spotter',
    '-L', HOST, '-p', String(port), '--pidfile', `${directory}/pid`, '--db', `${directory}/db`, '--log-file', 'stdout', '-v'], {cwd: directory});
  await turn.line(/IPv4\. (UDP|TCP) listener opened|listener opened on ?: /);
  const servers = [{urls: [`turn:${HOST}:${port}`], username: 'me', credential: 'secret'}];
  const server = await startSpotter(t, {streams: {camera: 'test:climber'}, options: {'webrtc.ice_servers': servers}});
  const {page} = await openPage(t, browser);
  await page.goto(`${server.base}/stream.html`);
  const {answer, link} = await play(page, 'camera');
  assert.match(link, new RegExp(`<turn:${HOST}:${port}>; rel="ice-server"; username="me"; credential="secret"`));
  const relayed = answer.split('\r\n').filter(line => line.startsWith('a=candidate:') && line.includes('typ relay'));
  assert.ok(relayed.length, answer);
  await page.evaluate(lines => window.applyAnswer(lines), relayed);
  await waitFor('pictures', async () => (await page.evaluate(() => window.figures())).frames > 30);
});

test('pictures in another order than they are shown are encoded anew for browsers', async t => {
  const browser = await openBrowser(t);
  if (!browser)
    return;
  const server = await startSpotter(t, {launch: ('videotestsrc is-live=true ! video/x-raw,format=I420,width=640,height=360,framerate=30/1 ! ' +
    'x264enc bframes=2 b-adapt=false rc-lookahead=5 speed-preset=superfast key-int-max=30 ! h264parse ! identity').split(' ')});
  const {page} = await openPage(t, browser);
  const keep = start(t, 'curl', ['-sN', '-o', '/dev/null', `${server.base}/stream.mp4?src=camera`]);
  await waitFor('the stream', async () => (await server.json('/api/streams/camera/stats')).tracks[0]?.units > 60);
  await page.goto(`${server.base}/stream.html`);
  await play(page, 'camera');
  await page.evaluate(() => window.applyAnswer(window.answer.split('\r\n').filter(line => line.startsWith('a=candidate:'))));
  await waitFor('pictures', async () => (await page.evaluate(() => window.figures())).frames > 30);
  const {branches} = await server.json('/api/streams/camera/stats');
  assert.ok(branches.some(({element}) => element === 'x264enc'), JSON.stringify(branches));
  keep.child.kill();
});
