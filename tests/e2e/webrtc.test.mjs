// SPDX-License-Identifier: LGPL-2.1-or-later
// WebRTC's door: WHEP, JSON and bare descriptions, the WebSocket, WHIP, other clients, bad offers.

import {test} from 'node:test';
import assert from 'node:assert/strict';
import {join, resolve} from 'node:path';
import {openBrowser, openPage, player} from '../lib/browser.mjs';
import {countFds, countThreads, rssKiB, run, start, startCamera, startSpotter, waitFor} from '../lib/lib.mjs';
import {WsClient} from '../lib/ws.mjs';

const CLIENT = join(resolve(process.env.SPOTTER_BUILD ?? 'build'), 'tests/webrtc-client');

const TRANSPORT = ['c=IN IP4 0.0.0.0', 'a=ice-ufrag:abcd', 'a=ice-pwd:abcdefghijklmnopqrstuvwx',
  `a=fingerprint:sha-256 ${Array(32).fill('AB').join(':')}`, 'a=setup:actpass', 'a=rtcp-mux', 'a=recvonly'];
const sdp = (...lines) => `${['v=0', 'o=- 1 2 IN IP4 127.0.0.1', 's=-', 't=0 0', ...lines].join('\r\n')}\r\n`;
const VIDEO = ['m=video 9 UDP/TLS/RTP/SAVPF 96 97 98', ...TRANSPORT, 'a=mid:0', 'a=rtpmap:96 VP8/90000',
  'a=rtpmap:97 rtx/90000', 'a=fmtp:97 apt=96', 'a=rtpmap:98 H264/90000',
  'a=fmtp:98 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f'];
const AUDIO = ['m=audio 9 UDP/TLS/RTP/SAVPF 111', ...TRANSPORT, 'a=mid:1', 'a=rtpmap:111 opus/48000/2'];
const OFFER = sdp('a=group:BUNDLE 0 1', ...VIDEO, ...AUDIO);

const post = (server, path, body, type, headers = {}) =>
  fetch(server.base + path, {method: 'POST', headers: {...type && {'Content-Type': type}, ...headers}, body});

test('an offer is answered as JSON, as WHEP and bare; sessions are trickled to and deleted', async t => {
  const server = await startSpotter(t, {streams: {bars: 'test:smpte'}});
  const json = await post(server, '/api/webrtc?src=bars', JSON.stringify({type: 'offer', sdp: OFFER}), 'application/json');
  assert.equal(json.status, 200);
  const {type, sdp: answer, session} = await json.json();
  assert.equal(type, 'answer');
  assert.match(session, /^[0-9a-f]{32}$/);
  assert.match(answer, /a=group:BUNDLE 0 1\r\n/);
  assert.match(answer, /m=video 9 UDP\/TLS\/RTP\/SAVPF 98\r\n/); // our own H.264 is cheaper than VP8
  assert.match(answer, /m=audio 9 UDP\/TLS\/RTP\/SAVPF 111\r\n/);
  assert.match(answer, /a=candidate:\S+ 1 udp \d+ [\d.]+ \d+ typ host/);
  assert.doesNotMatch(answer, / 127\.0\.0\.1 |tcptype active/);
  assert.equal((await fetch(`${server.base}/api/webrtc/${session}`, {method: 'DELETE'})).status, 200);
  assert.equal((await fetch(`${server.base}/api/webrtc/${session}`, {method: 'DELETE'})).status, 404);

  const whep = await post(server, '/whep/bars', OFFER, 'application/sdp');
  assert.equal(whep.status, 201);
  assert.equal(whep.headers.get('content-type'), 'application/sdp');
  const location = whep.headers.get('location'), tag = whep.headers.get('etag');
  assert.match(await whep.text(), /^v=0/);
  const patch = (body, headers) => fetch(server.base + location, {method: 'PATCH', body,
    headers: {'Content-Type': 'application/trickle-ice-sdpfrag', ...headers}});
  const fragment = 'a=ice-ufrag:abcd\r\nm=audio 9 RTP/AVP 0\r\na=mid:0\r\na=candidate:1 1 udp 5 10.99.0.1 5000 typ host\r\n';
  assert.equal((await patch(fragment, {'If-Match': tag})).status, 204);
  assert.equal((await patch(fragment)).status, 428);
  assert.equal((await patch(fragment, {'If-Match': '"other"'})).status, 412);
  assert.equal((await patch(fragment.replace('abcd', 'efgh'), {'If-Match': tag})).status, 405);
  assert.equal((await fetch(server.base + location, {method: 'DELETE'})).status, 200);

  const raw = await post(server, '/api/webrtc?src=bars', OFFER);
  assert.equal(raw.status, 200);
  assert.match(await raw.text(), /^v=0/);
  await waitFor('one to be left', async () => (await server.json('/api/streams/bars/stats')).viewers.length === 1);
});

test('what peers are told: filters, ports, an address outside', async t => {
  const server = await startSpotter(t, {streams: {bars: 'test:smpte'}, options: {'webrtc.candidates': ['198.51.100.7'],
    'webrtc.filters.networks': ['udp4'], 'webrtc.filters.udp_ports': ['50000', '50100']}});
  const answer = await (await post(server, '/whep/bars', OFFER, 'application/sdp')).text();
  const candidates = answer.split('\r\n').filter(line => line.startsWith('a=candidate:')).map(line => line.split(' '));
  const own = candidates.filter(words => words[4] !== '198.51.100.7');
  assert.ok(own.length && own.every(words => words[2] === 'udp' && /^[\d.]+$/.test(words[4])), answer);
  assert.ok(own.every(words => words[5] >= 50000 && words[5] <= 50100), answer);
  assert.ok(candidates.some(words => words[4] === '198.51.100.7' && words[5] === own[0][5]), answer);
});

test('what cannot be answered is a sentence and a status', async t => {
  const server = await startSpotter(t, {streams: {bars: 'test:smpte', dead: 'rtsp://127.0.0.1:9/x', 'in': ''}});
  for (const [path, body, status, says] of [
    ['/whep/nobody', OFFER, 404, /not found/],
    ['/whep/bars', '', 400, /no text/],
    ['/whep/bars', 'hello', 400, /offer/],
    ['/whep/bars', 'x'.repeat(70000), 400, /65536/],
    ['/whep/bars', sdp(...VIDEO.filter(line => !line.startsWith('a=finger'))), 400, /fingerprint/],
    ['/whep/bars', sdp(...VIDEO, ...VIDEO), 400, /one mid/],
    ['/whep/bars', sdp('m=video 9 UDP/TLS/RTP/SAVPF 98', ...TRANSPORT, 'a=mid:0', 'a=rtpmap:98 AV1/90000'), 501, /nothing that/],
    ['/whep/dead', OFFER, 503, /./],
    ['/whip/bars', OFFER.replaceAll('recvonly', 'sendonly'), 403, /./],
    ['/whip/in', OFFER, 501, /sends no codec/],
  ]) {
    const response = await post(server, path, body, 'application/sdp');
    const text = await response.text();
    assert.equal(response.status, status, `${path}: ${text}`);
    assert.match(text, says);
  }
  const bad = await post(server, '/api/webrtc?src=bars', '{"type":"offer"}', 'application/json');
  assert.equal(bad.status, 400);
});

test('large bodies of strangers are not kept', async t => {
  const server = await startSpotter(t, {streams: {bars: 'test:smpte'}});
  const junk = Buffer.alloc(500000, 'x');
  const flood = async n => {
    for (let i = 0; i < n; i++) {
      assert.equal((await post(server, '/whep/bars', junk, 'application/sdp')).status, 400);
      assert.equal((await fetch(`${server.base}/api/webrtc/none`, {method: 'PATCH', body: junk})).status, 404);
    }
  };
  await flood(10);
  const before = rssKiB(server.pid);
  await flood(50);
  const grown = rssKiB(server.pid) - before;
  t.diagnostic(`figure: 50 MB of junk leave ${grown} KiB`);
  assert.ok(grown < 20000, `${grown} KiB`);
});

test('over the WebSocket: both forms of offer, candidates before the offer; errors name the request', async t => {
  const server = await startSpotter(t, {streams: {bars: 'test:smpte'}});
  const ws = new WsClient(t, server, '/api/ws?src=bars');
  const text = async type => {
    await waitFor(type, () => ws.texts.some(message => message.type === type));
    return ws.texts.splice(ws.texts.findIndex(message => message.type === type), 1)[0];
  };
  ws.say('webrtc/candidate', 'candidate:1 1 udp 5 10.99.0.1 5000 typ host');
  ws.say('webrtc/offer', OFFER);
  assert.match((await text('webrtc/answer')).value, /^v=0/);
  const first = (await text('webrtc/session')).value;
  assert.match((await text('webrtc/candidate')).value, /^candidate:/);
  ws.say('webrtc', {type: 'offer', sdp: OFFER});
  const {value} = await text('webrtc');
  assert.equal(value.type, 'answer');
  assert.match(value.sdp, /^v=0/);
  await waitFor('the first to be replaced', async () => (await server.json('/api/streams/bars/stats')).viewers.length === 1);
  assert.equal((await fetch(`${server.base}/api/webrtc/${first}`, {method: 'DELETE'})).status, 404);
  ws.say('webrtc/offer', 'nonsense');
  assert.match((await text('error')).value, /^webrtc\/offer: /);
  ws.say('webrtc', 5);
  assert.match((await text('error')).value, /^webrtc: /);
  for (const type of ['webrtc/offer', 'webrtc', 'webrtc/candidate'])
    for (const odd of [null, 5, [], {}, {sdp: 7}, ''])
      ws.say(type, odd);
  assert.equal((await fetch(`${server.base}/api`)).status, 200);
});

test("GStreamer's webrtcbin plays the camera's H.264; who vanishes leaves nothing behind", async t => {
  const camera = await startCamera(t, ['--gop', '4']);
  const server = await startSpotter(t, {streams: {cam: camera.url}});
  const before = async () => ({fds: countFds(server.pid), threads: countThreads(server.pid)});
  const watch = start(t, 'curl', ['-sN', '-o', '/dev/null', `${server.base}/stream.ts?src=cam`]); // keeps the source
  await waitFor('the source', async () => await server.state('cam') === 'live');
  const idle = await before();
  const {code, stdout, stderr} = await run(CLIENT, [`${server.base}/whep/cam`, '3', '2', '1000'], {env: {...process.env, ASAN_OPTIONS: 'detect_leaks=0'}});
  assert.equal(code, 0, stderr);
  const joined = [...stdout.matchAll(/^joined (\d+)/gm)].map(([, ms]) => Number(ms));
  t.diagnostic(`figure: first decodable frame after ${joined.join(', ')} ms, keyframes four seconds apart`);
  assert.equal(joined.length, 6);
  await waitFor('them to be gone', async () => (await server.json('/api/streams/cam/stats')).viewers.length === 1);
  await waitFor('their threads and files', async () => {
    const now = await before();
    return now.threads <= idle.threads + 2 && now.fds <= idle.fds + 2;
  });
  watch.child.kill();
});

test('WHIP: a browser\'s camera is a stream for RTSP, MP4 and other browsers', async t => {
  const browser = await openBrowser(t, ['--use-fake-device-for-media-stream', '--use-fake-ui-for-media-stream']);
  if (!browser)
    return;
  const server = await startSpotter(t, {streams: {'in': ''}});
  const {page} = await openPage(t, browser);
  await page.goto(`${server.base}/stream.html`);
  const status = await page.evaluate(async () => {
    const media = await navigator.mediaDevices.getUserMedia({video: {width: 640, height: 480}, audio: true});
    const connection = new RTCPeerConnection();
    for (const track of media.getTracks())
      connection.addTransceiver(track, {direction: 'sendonly'});
    await connection.setLocalDescription();
    const response = await fetch('/whip/in', {method: 'POST', headers: {'Content-Type': 'application/sdp'},
      body: connection.localDescription.sdp});
    await connection.setRemoteDescription({type: 'answer', sdp: await response.text()});
    window.publication = connection;
    return response.status;
  });
  assert.equal(status, 201);
  await waitFor('the stream', async () => await server.state('in') === 'live');
  const {stdout, stderr} = await run('ffprobe', ['-v', 'error', '-rtsp_transport', 'tcp', '-show_streams', '-of', 'json',
    `${server.rtsp}/in`]);
  const {streams} = JSON.parse(stdout || '{"streams":[]}');
  assert.deepEqual(streams.map(({codec_name}) => codec_name).sort(), ['h264', 'opus'], stderr);
  assert.equal(streams.find(({codec_name}) => codec_name === 'h264').width, 640);
  const {page: viewer} = await openPage(t, browser);
  await viewer.goto(`${server.base}/stream.html?src=in&mode=webrtc`);
  await waitFor('a viewer', async () => (await player(viewer)).frames > 30);
  const second = await post(server, '/whip/in', OFFER.replaceAll('recvonly', 'sendonly'), 'application/sdp');
  assert.equal(second.status, 403, await second.text());
  await page.evaluate(() => window.publication.close());
  await waitFor('the publisher to be missed', async () => await server.state('in') !== 'live');
});

test('sound alone is heard: of a stream without a picture, and by who only asks for sound', async t => {
  const browser = await openBrowser(t);
  if (!browser)
    return;
  const server = await startSpotter(t, {streams: {bars: 'test:smpte',
    tone: 'gst:audiotestsrc is-live=true ! audio/x-raw,rate=48000,channels=2 ! opusenc ! identity'}});
  const {page} = await openPage(t, browser);
  await page.goto(`${server.base}/webrtc.html`);
  for (const name of ['tone', 'bars']) {
    const received = await page.evaluate(async stream => {
      const peer = new RTCPeerConnection();
      peer.addTransceiver('audio', {direction: 'recvonly'});
      peer.ontrack = event => {
        const audio = document.body.appendChild(document.createElement('audio'));
        audio.srcObject = new MediaStream([event.track]);
        audio.play();
      };
      await peer.setLocalDescription(await peer.createOffer());
      const answer = await fetch(`/api/webrtc?src=${stream}`, {method: 'POST', body: peer.localDescription.sdp});
      await peer.setRemoteDescription({type: 'answer', sdp: await answer.text()});
      for (let i = 0; i < 300; i++) {
        const inbound = [...(await peer.getStats()).values()].find(s => s.type === 'inbound-rtp');
        if (inbound?.totalSamplesReceived > 48000 && inbound.totalAudioEnergy > 0)
          return inbound.packetsReceived;
        await new Promise(resolve => setTimeout(resolve, 100));
      }
      return JSON.stringify([...(await peer.getStats()).values()].filter(s => s.type === 'inbound-rtp'));
    }, name);
    assert.ok(received > 40, `${name}: ${received}`);
  }
});
