// SPDX-License-Identifier: LGPL-2.1-or-later
// Nobody stalls the RTSP door: what strangers do to it, and what the healthy see meanwhile. Each test
// prints its figure. SPOTTER_FAULT_SECONDS makes the long ones longer (./dev test faults).

import {test} from 'node:test';
import assert from 'node:assert/strict';
import {connect} from 'node:net';
import {countFds, countThreads, rawSocket, rssKiB, startCamera, startSpotter, view, waitFor} from '../lib/lib.mjs';
import {RtspClient} from '../lib/rtsp.mjs';

const LONG = Number(process.env.SPOTTER_FAULT_SECONDS ?? 10) > 10;
const figure = (t, text) => { t.diagnostic(`figure: ${text}`); };

/** A 4 Mbit/s camera behind a server, with healthy viewers by TCP, UDP and MP4. */
async function scene(t, {options = {}, healthy = true} = {}) {
  const camera = await startCamera(t, ['--kbps', '4000', '--size', '1280x720', '--no-audio', '--gop', '1']);
  const server = await startSpotter(t, {streams: {cam: camera.url}, options});
  const url = `${server.rtsp}/cam`;
  let tcp, udp, mp4;
  if (healthy) {
    tcp = new RtspClient(t, server.rtspPort);
    udp = new RtspClient(t, server.rtspPort);
    assert.equal((await tcp.play(url)).status, 200);
    assert.equal((await udp.play(url, {udp: true})).status, 200);
    mp4 = view(t, `${server.base}/stream.mp4?src=cam`);
    await waitFor('the healthy to play', () => tcp.lanes[0].marks > 30 && udp.lanes[0].marks > 30 && mp4.bytes > 100000);
    tcp.lanes[0].reset();
    udp.lanes[0].reset();
    mp4.resetGap();
  }
  return {camera, server, url, tcp, udp, mp4,
    /** The healthy lost nothing and were never left waiting. */
    check(what) {
      const gaps = [tcp.lanes[0].longestGap, udp.lanes[0].longestGap, mp4.longestGap].map(Math.round);
      figure(t, `${what}; the healthy lost ${tcp.lanes[0].lost} (TCP) and ${udp.lanes[0].lost} (UDP) packets, ` +
        `longest gaps ${gaps.join(', ')} ms (TCP, UDP, MP4)`);
      assert.ok(!tcp.closed && !udp.closed && !mp4.closed);
      assert.equal(tcp.lanes[0].lost, 0);
      assert.equal(udp.lanes[0].lost, 0);
      // A wedged server shows gaps of many seconds; the figure is what is to be judged.
      assert.ok(gaps.every(gap => gap < 2000), `gaps of ${gaps} ms`);
    }};
}

async function stalled(t, port, url) {
  const client = new RtspClient(t, port);
  assert.equal((await client.play(url)).status, 200);
  client.socket.pause();
  return client;
}

/** A new viewer: how long until its first whole picture? */
async function joiner(t, port, url, options) {
  const client = new RtspClient(t, port);
  const began = performance.now();
  assert.equal((await client.play(url, options)).status, 200);
  await waitFor('a picture', () => client.lanes[0].marks > 0);
  const ms = client.lanes[0].first - began;
  client.close();
  return ms;
}

const settled = async (server, fds) => {
  await waitFor('descriptors to return', () => countFds(server.pid) <= fds);
  await waitFor('the viewers to go', async () => (await server.json('/api/streams?src=cam')).consumers.length <= 3);
};

test('a lone reader that stands still holds up nobody who comes later, and is cut', async t => {
  const {server, url} = await scene(t, {healthy: false});
  const lone = await stalled(t, server.rtspPort, url);
  const began = performance.now();
  await waitFor('it to be stuck', async () => {
    const [viewer] = (await server.json('/api/streams?src=cam')).consumers;
    return viewer.senders[0].drops > 0;
  });
  const [tcp, udp] = [await joiner(t, server.rtspPort, url), await joiner(t, server.rtspPort, url, {udp: true})];
  await waitFor('the cut', async () => !(await server.json('/api/streams?src=cam')).consumers.length);
  const cut = (performance.now() - began) / 1000;
  figure(t, `lone stalled reader: joiners saw a picture after ${tcp.toFixed(0)} ms (TCP), ${udp.toFixed(0)} ms (UDP); cut after ${cut.toFixed(1)} s`);
  assert.ok(cut < 25);
  lone.socket.resume();
  await lone.done;
});

test('a lone reader that crawls at half the rate gets what it can take, and holds up nobody', async t => {
  const {server, url, ...healthy} = await scene(t);
  const crawler = new RtspClient(t, server.rtspPort);
  await crawler.play(url);
  const {socket} = crawler;
  // 25 kB in each tenth of a second, of a stream of 50 kB
  let taken = 0;
  socket.on('data', chunk => { taken += chunk.length; if (taken > 25000) socket.pause(); });
  const timer = setInterval(() => { taken = Math.max(0, taken - 25000); if (taken <= 25000) socket.resume(); }, 100);
  t.after(() => clearInterval(timer));
  const dropped = async () => Math.max(...(await server.json('/api/streams?src=cam')).consumers.map(viewer => viewer.senders[0].drops));
  await waitFor('drops', async () => await dropped() > 0, 120000);
  const {marks} = crawler.lanes[0];
  await waitFor('more pictures', () => crawler.lanes[0].marks > marks + 20);
  const joined = await joiner(t, server.rtspPort, url);
  healthy.check(`crawling reader: ${await dropped()} pictures dropped for it, a joiner's picture after ${joined.toFixed(0)} ms`);
  assert.ok(!crawler.closed);
});

test('twenty that play, never read and vanish, ten times over', async t => {
  const {server, url, ...healthy} = await scene(t);
  const fds = countFds(server.pid), threads = countThreads(server.pid);
  for (let round = 0; round < 10; round++) {
    const crowd = await Promise.all(Array.from({length: 20}, () => stalled(t, server.rtspPort, url)));
    crowd.forEach(client => client.socket.resetAndDestroy());
  }
  await settled(server, fds);
  healthy.check('200 vanished without TEARDOWN');
  assert.ok(countThreads(server.pid) <= threads + 1);
});

test('a hundred stalled at once cost their bound and are cut', async t => {
  const {server, url, ...healthy} = await scene(t);
  const fds = countFds(server.pid), before = rssKiB(server.pid);
  const began = performance.now();
  await Promise.all(Array.from({length: 100}, () => stalled(t, server.rtspPort, url)));
  let peak = 0;
  await waitFor('the cut', async () => {
    peak = Math.max(peak, rssKiB(server.pid));
    return (await server.json('/api/streams?src=cam')).consumers.length <= 3;
  });
  const seconds = (performance.now() - began) / 1000, each = (peak - before) / 100;
  healthy.check(`100 stalled: cut after ${seconds.toFixed(1)} s, ${each.toFixed(0)} KiB of RSS each at the peak`);
  await settled(server, fds);
  assert.ok(seconds < 30);
  assert.ok(each < 4096);
});

test('PLAY with Range from ten clients at once, forty times', async t => {
  const {server, url, ...healthy} = await scene(t);
  const clients = await Promise.all(Array.from({length: 10}, async () => {
    const client = new RtspClient(t, server.rtspPort);
    await client.play(url);
    return client;
  }));
  for (let round = 0; round < 40; round++) {
    const answers = await Promise.all(clients.map((client, i) =>
      client.request('PLAY', url, {Range: i % 2 ? 'npt=0.000-' : `clock=20200101T0000${round + 10}Z-`})));
    assert.ok(answers.every(answer => answer.status === 200));
    if (round % 10 === 0) {
      await Promise.all(clients.map(client => client.request('PAUSE', url)));
      await Promise.all(clients.map(client => client.request('PLAY', url, {Range: 'npt=5-'})));
    }
  }
  clients.forEach(client => { client.lanes[0].marks = 0; });
  await waitFor('all to play on', () => clients.every(client => client.lanes[0].marks > 5));
  healthy.check('400 PLAY with Range');
});

test('five hundred join while the last one leaves', async t => {
  const {server, url} = await scene(t, {healthy: false, options: {'stream.linger': '50ms'}});
  let last = new RtspClient(t, server.rtspPort), slowest = 0;
  await last.play(url);
  const rounds = 500;
  for (let i = 0; i < rounds; i++) {
    const next = new RtspClient(t, server.rtspPort);
    const playing = next.play(url, {udp: i % 2 === 0});
    if (i % 3)
      last.close();
    else
      last.send('TEARDOWN', url);
    const began = performance.now();
    assert.equal((await playing).status, 200, `round ${i}`);
    slowest = Math.max(slowest, performance.now() - began);
    last.close();
    last = next;
  }
  await waitFor('the last to play', () => last.lanes[0].marks > 5);
  figure(t, `${rounds} joined as the last left; the slowest PLAY was answered after ${slowest.toFixed(0)} ms`);
});

test('two hundred half-open connections, and requests cut in the middle', async t => {
  const {server, url, ...healthy} = await scene(t, {options: {'rtsp.timeout': '2s'}});
  const fds = countFds(server.pid);
  const open = Array.from({length: 200}, (_, i) => rawSocket(t, server.rtspPort, i % 2 ? '' : 'DESCRIBE rtsp://x/cam RTSP/1.0\r\nCS'));
  const whole = `SETUP ${url}/trackID=0 RTSP/1.0\r\nCSeq: 1\r\nTransport: RTP/AVP/TCP;unicast;interleaved=0-1\r\n\r\n`;
  for (let end = 1; end < whole.length; end += 3) {
    const socket = connect({port: server.rtspPort, host: '127.0.0.1'});
    socket.on('error', () => {});
    socket.end(whole.slice(0, end));
    t.after(() => socket.destroy());
  }
  const began = performance.now();
  const joined = await joiner(t, server.rtspPort, url);
  await waitFor('all to be closed', () => open.every(one => one.closed));
  const seconds = (performance.now() - began) / 1000;
  await settled(server, fds);
  healthy.check(`200 half open were closed after ${seconds.toFixed(1)} s (limit 2 s); a joiner's picture after ${joined.toFixed(0)} ms`);
});

test('requests behind one another on a cold stream are answered in their order, each once', async t => {
  const server = await startSpotter(t, {streams: {cold: 'test:climber', bars: 'test:smpte'}});
  const [one, two] = [new RtspClient(t, server.rtspPort), new RtspClient(t, server.rtspPort)];
  const ask = (client, ...urls) => Promise.all(urls.map(url => client.request('DESCRIBE', `${server.rtsp}/${url}`)));
  const answers = await Promise.all([ask(one, 'cold', 'bars', 'nope', 'cold?video=mjpeg'), ask(two, 'cold?video=h264', 'cold', 'bars?audio')]);
  assert.deepEqual(answers.map(list => list.map(answer => answer.status)), [[200, 200, 404, 200], [200, 200, 200]]);
  assert.match(answers[0][3].body, /JPEG/);
  assert.match(answers[1][2].body, /m=audio/);
  assert.equal(Object.keys(await server.json('/api/streams')).length, 2);
  one.close();
  two.close();
  await waitFor('nobody', async () => Object.values(await server.json('/api/streams')).every(stream => !stream.consumers.length));
});

test('PAUSE and PLAY at once, over TCP and UDP; another codec on the same connection', async t => {
  const {server, url} = await scene(t, {healthy: false});
  for (const udp of [false, true]) {
    const client = new RtspClient(t, server.rtspPort);
    await client.play(url, {udp});
    for (let i = 0; i < 20; i++) {
      const answers = await Promise.all(['PAUSE', 'PLAY', 'PAUSE', 'PLAY'].map(method => client.request(method, url)));
      assert.deepEqual(answers.map(answer => answer.status), [200, 200, 200, 200]);
    }
    client.lanes[0].marks = 0;
    await waitFor('pictures', () => client.lanes[0].marks > 10);
    assert.equal((await client.request('TEARDOWN', url)).status, 200);
    client.session = null;
    assert.equal((await client.play(`${url}?video=mjpeg`, {udp})).status, 200);
    client.lanes[0].marks = 0;
    await waitFor('JPEG pictures', () => client.lanes[0].marks > 10);
    client.close();
  }
});

test('SIGTERM in the middle of a storm of connections ends the server', async t => {
  const {server, url} = await scene(t, {healthy: false});
  const players = Array.from({length: 10}, () => new RtspClient(t, server.rtspPort));
  await Promise.all(players.map((client, i) => client.play(url, {udp: i % 2 === 0})));
  let storm = true;
  const connectAgain = () => {
    const socket = connect({port: server.rtspPort, host: '127.0.0.1'});
    socket.on('error', () => {});
    socket.on('close', () => storm && setImmediate(connectAgain));
    socket.write('OPTIONS * RTSP/1.0\r\nCSeq: 1\r\n\r\n', () => socket.destroy());
  };
  Array.from({length: 20}, connectAgain);
  const {code, ms} = await server.stop();
  storm = false;
  assert.equal(code, 0);
  figure(t, `ended after ${ms} ms`);
  await Promise.all(players.map(client => client.done));
});

test('the limits of connections and requests answer or close', async t => {
  const {server, url} = await scene(t, {healthy: false, options: {'rtsp.max_connections_per_address': '5'}});
  const five = Array.from({length: 5}, () => new RtspClient(t, server.rtspPort));
  await Promise.all(five.map(client => client.request('OPTIONS', url)));
  const sixth = new RtspClient(t, server.rtspPort);
  await sixth.done;
  five[0].close();
  await waitFor('room', async () => {
    const next = new RtspClient(t, server.rtspPort);
    const answer = await next.request('OPTIONS', url).catch(() => null);
    next.close();
    return answer?.status === 200;
  });
  const status = async (client, text) => {
    const answer = client.answer();
    client.socket.write(text);
    return (await answer).status;
  };
  assert.equal(await status(five[1], `OPTIONS * RTSP/1.0\r\nCSeq: 1\r\nX: ${'x'.repeat(20000)}\r\n\r\n`), 413);
  await five[1].done;
  assert.equal(await status(five[2], 'ANNOUNCE rtsp://x/cam RTSP/1.0\r\nCSeq: 1\r\nContent-Length: 99999999\r\n\r\n'), 413);
  assert.equal(await status(five[3], 'OPTIONS * RTSP/2.0\r\nCSeq: 1\r\n\r\n'), 505);
  assert.equal(await status(five[4], 'GET / HTTP/1.1\r\nHost: x\r\n\r\n'), 400);
});

test('one who asks and does not listen is cut', async t => {
  const {server, ...healthy} = await scene(t);
  const greedy = new RtspClient(t, server.rtspPort);
  greedy.socket.pause();
  const before = rssKiB(server.pid);
  const requests = 'OPTIONS * RTSP/1.0\r\nCSeq: 1\r\n\r\n'.repeat(1000);
  let written = 0;
  const pour = () => {
    while (!greedy.socket.destroyed && written < 100e6 && greedy.socket.write(requests))
      written += requests.length;
  };
  greedy.socket.on('drain', () => { written += requests.length; pour(); });
  pour();
  await waitFor('its end', () => greedy.closed);
  healthy.check(`100 MB of requests whose answers nobody read: cut after ${(written / 1e6).toFixed(1)} MB, RSS ${rssKiB(server.pid) - before >> 10} MiB more`);
});

const random = (state => n => { state = (state * 1103515245 + 12345) & 0x7fffffff; return (state >> 8) % n; })(4711);
const pick = list => list[random(list.length)];

/** A request from the grammar, in any order, with values that hurt. */
function grammar(host) {
  const method = pick(['OPTIONS', 'DESCRIBE', 'SETUP', 'PLAY', 'PAUSE', 'TEARDOWN', 'GET_PARAMETER', 'SET_PARAMETER', 'ANNOUNCE', 'RECORD', 'REDIRECT', 'x']);
  const url = pick([`rtsp://${host}/ball`, `rtsp://${host}/ball/trackID=${pick([0, 1, 2, 9, 99999999999])}`, `rtsp://${host}/push`, `rtsp://${host}/push/streamid=0`,
    '*', '/', 'rtsp://', `rtsp://${host}/%00`, `rtsp://${host}/ball?video=${pick(['h264', 'mjpeg', 'none', '', '%ff', 'a,'.repeat(500)])}`, `rtsp://${host}/${'a'.repeat(3000)}`, `rtsp://${host}/../ball`]);
  const headers = [`CSeq: ${pick([1, 2, 0, -1, '', 99999999999, 'x'])}`];
  if (random(3))
    headers.push(`Transport: ${pick(['RTP/AVP/TCP;unicast;interleaved=0-1', 'RTP/AVP/TCP;interleaved=255-256', 'RTP/AVP/TCP;interleaved=-1--2', 'RTP/AVP;unicast;client_port=40000-40001',
      'RTP/AVP;unicast;client_port=0-0', 'RTP/AVP;unicast;client_port=99999-70000', 'RTP/AVP;multicast', 'RTP/SAVP;unicast', ',,,,', 'RTP/AVP;unicast;destination=192.0.2.1;client_port=40002-40003',
      'RTP/AVP/TCP;unicast;interleaved=2-3;mode=record', ';'.repeat(2000)])}`);
  if (random(3) === 0)
    headers.push(`Session: ${pick(['0', '00000000', ';timeout=1', 'x'.repeat(500)])}`);
  if (random(4) === 0)
    headers.push(`Range: ${pick(['npt=0-', 'npt=-1', 'clock=x', 'smpte=0:0:0-', ''])}`);
  if (random(5) === 0)
    headers.push(`Authorization: ${pick(['Digest', 'Digest username', 'Digest username="", nonce="", uri="", response=""', 'Basic', 'Basic ====', 'Bearer x'])}`);
  const body = method === 'ANNOUNCE' || random(8) === 0 ? pick(['v=0\r\nm=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\na=control:streamid=0\r\n',
    'v=0\r\nm=audio 0 RTP/AVP 97\r\na=rtpmap:97 MPEG4-GENERIC/48000/2\r\na=fmtp:97 config=zz;sizelength=99\r\na=control:streamid=0\r\n',
    'm=video 0 RTP/AVP\r\n'.repeat(30), 'v=0\r\nm=video 0 RTP/AVP 300\r\na=rtpmap:300 /\r\na=control:\r\n', '\0'.repeat(100), '']) : '';
  if (body || random(6) === 0)
    headers.push(`Content-Length: ${pick([body.length, body.length, body.length, body.length + 5, 0, -5, 'x'])}`);
  return `${method} ${url} ${pick(['RTSP/1.0', 'RTSP/1.0', 'RTSP/1.0', 'RTSP/1.0', 'RTSP/2.0', ''])}\r\n${headers.join('\r\n')}\r\n\r\n${body}`;
}

function mutate(text) {
  const bytes = Buffer.from(text, 'latin1');
  for (let i = random(4); i >= 0; i--)
    bytes[random(bytes.length)] = random(256);
  return bytes.subarray(0, random(5) ? bytes.length : random(bytes.length));
}

test('five thousand mutated requests: the server lives, serves and does not grow', async t => {
  const server = await startSpotter(t, {streams: {ball: 'test:ball', push: []}, options: {'rtsp.timeout': '500ms', 'stream.start': '1s'}});
  const host = server.rtsp.replace('rtsp://', '');
  const healthy = new RtspClient(t, server.rtspPort);
  await healthy.play(`${server.rtsp}/ball`);
  await waitFor('pictures', () => healthy.lanes[0].marks > 30);
  healthy.lanes[0].reset();
  const rounds = LONG ? 50000 : 5000;
  let sent = 0, answered = 0, before = 0;
  while (sent < rounds) {
    const batch = Array.from({length: 25}, () => {
      // some connections ask many things, others throw packets in between
      const parts = Array.from({length: 1 + random(6)}, () => { sent++; return random(3) ? Buffer.from(grammar(host), 'latin1') : mutate(grammar(host)); });
      if (random(4) === 0)
        parts.splice(random(parts.length), 0, Buffer.from([0x24, random(5), 0, 20, ...Array.from({length: 20}, () => random(256))]));
      return rawSocket(t, server.rtspPort, Buffer.concat(parts));
    });
    await waitFor('answers or cuts', () => batch.every(one => one.text || one.closed));
    answered += batch.filter(one => one.text.startsWith('RTSP/1.0')).length;
    batch.forEach(one => one.socket.destroy());
    if (!before && sent > rounds / 2)
      before = rssKiB(server.pid);
  }
  const fds = await waitFor('connections to go', () => countFds(server.pid) < 60 && countFds(server.pid));
  figure(t, `${sent} mutated requests: ${answered} connections answered, ${fds} descriptors, RSS grew by ${rssKiB(server.pid) - before} KiB in the second half; ` +
    `the healthy lost ${healthy.lanes[0].lost}, longest gap ${Math.round(healthy.lanes[0].longestGap)} ms`);
  assert.equal(healthy.lanes[0].lost, 0);
  assert.ok(!healthy.closed && answered > sent / 20);
  assert.ok(await joiner(t, server.rtspPort, `${server.rtsp}/ball`) < 10000);
});

test('a thousand join and leave: sessions, descriptors, threads and memory return', async t => {
  const {server, url, ...healthy} = await scene(t);
  const cycle = async (n, wide) => {
    for (let i = 0; i < n; i += wide)
      await Promise.all(Array.from({length: wide}, async (_, k) => {
        const client = new RtspClient(t, server.rtspPort);
        assert.equal((await client.play(url, {udp: k % 2 === 0})).status, 200);
        if (k % 4 < 2)
          await client.request('TEARDOWN', url);
        client.close();
        await client.done;
      }));
  };
  await cycle(100, 10);
  await waitFor('the first to go', async () => (await server.json('/api/streams?src=cam')).consumers.length === 3);
  const fds = countFds(server.pid), threads = countThreads(server.pid), rss = rssKiB(server.pid);
  await cycle(1000, 10);
  await settled(server, fds);
  healthy.check(`1000 joins: fds ${countFds(server.pid) - fds}, threads ${countThreads(server.pid) - threads}, RSS ${((rssKiB(server.pid) - rss) / 1000).toFixed(2)} KiB a cycle`);
  assert.ok(countThreads(server.pid) <= threads + 1);
});
