// SPDX-License-Identifier: LGPL-2.1-or-later
// Measures and prints tables. All ratios are within one run; CPU is summed from schedstat.
//   node tests/bench/bench.mjs [cost|mse|hls|webrtc|glass|skew|pose|join|latency|idle|rtsp|rtsp-join|rtsp-stall]…

import {Agent, request} from 'node:http';
import {join} from 'node:path';
import {openBrowser, openPage, player} from '../lib/browser.mjs';
import {countThreads, cpuNs, rssKiB, start, startCamera, startSpotter, waitFor} from '../lib/lib.mjs';
import {RtspClient} from '../lib/rtsp.mjs';
import {WsClient} from '../lib/ws.mjs';
import {measureSkew, share, skewOptions} from '../lib/skew.mjs';

const BUILD = process.env.SPOTTER_BUILD ?? 'build';
const VIEWERS = [1, 20, 100, 200];
const MEASURE_MS = 5000;

/** Stands in for a test context: cleans up in reverse order. */
async function scope(work) {
  const cleanups = [];
  try {
    return await work({after: cleanup => cleanups.push(cleanup)});
  } finally {
    for (const cleanup of cleanups.reverse())
      await Promise.resolve().then(cleanup).catch(error => console.error(String(error)));
  }
}

const percentile = (values, p) => [...values].sort((a, b) => a - b)[Math.min(values.length - 1, Math.floor(values.length * p))];
const after = ms => new Promise(resolve => setTimeout(resolve, ms));

function table(title, head, rows) {
  const widths = head.map((cell, i) => Math.max(cell.length, ...rows.map(row => String(row[i]).length)));
  const line = row => row.map((cell, i) => String(cell).padStart(widths[i])).join('  ');
  console.log(`\n${title}\n${line(head)}\n${widths.map(width => '-'.repeat(width)).join('  ')}`);
  rows.forEach(row => console.log(line(row)));
}

/** CPU of `pid` in percent of one core while `viewers` read, and the bytes that each got in a second. */
async function load(t, pid, viewers, reader) {
  return scope(async inner => {
    const sink = reader(inner, viewers);
    const bytes = () => Number(sink.lines.at(-1)?.split(' ')[1] ?? 0);
    await waitFor('bytes', () => bytes() > viewers * 10000);
    await after(2000);
    const [cpu, got, began] = [cpuNs(pid), bytes(), performance.now()];
    await after(MEASURE_MS);
    const seconds = (performance.now() - began) / 1000;
    return {cpu: (cpuNs(pid) - cpu) / seconds / 1e7, rss: rssKiB(pid), threads: countThreads(pid),
      rate: (bytes() - got) / seconds / viewers};
  });
}

const http = (port, path) => (t, viewers) =>
  start(t, join(BUILD, 'tests/sink'), [String(port), String(viewers), path]);
const mse = (port, name) => (t, viewers) =>
  start(t, join(BUILD, 'tests/sink'), [String(port), String(viewers), `/api/ws?src=${name}`, 'ws']);
const rtsp = (transport, port, name) => (t, viewers) =>
  start(t, join(BUILD, 'tests/rtsp-sink'), [transport, String(port), String(viewers), name]);

async function cost(kind, fps) {
  const rows = [];
  const measured = [];
  await scope(async t => {
    const camera = await startCamera(t, ['--kbps', '4000', '--size', '1280x720', '--no-audio', '--gop', '2']);
    const server = await startSpotter(t, {streams: {cam: camera.url}});
    for (const viewers of VIEWERS)
      measured.push(await load(t, server.pid, viewers,
        kind === 'mse' ? mse(server.port, 'cam') : http(server.port, `/stream.${kind}?src=cam`)));
  });
  for (const [i, viewers] of VIEWERS.entries()) {
    const limit = await scope(async t => {
      const size = Math.round(measured[i].rate / fps);
      const writer = start(t, join(BUILD, 'tests/limit'), [String(size), String(fps)]);
      const [, port] = await writer.line(/ready (\d+)/);
      return load(t, writer.child.pid, viewers, http(port, '/'));
    });
    const own = measured[i];
    const slope = (later, first) => (later - first) / (viewers - 1);
    const added = i ? slope(own.cpu, measured[0].cpu) : NaN;
    const least = i ? slope(limit.cpu, rows.limitOfOne) : NaN;
    if (!i)
      rows.limitOfOne = limit.cpu;
    rows.push([viewers, own.cpu.toFixed(2), limit.cpu.toFixed(2), i ? added.toFixed(4) : '', i ? least.toFixed(4) : '',
      i ? (added / least).toFixed(2) : '', (own.rss / 1024).toFixed(1),
      i ? (slope(own.rss, measured[0].rss)).toFixed(0) : '', own.threads, (own.rate * 8 / 1e6).toFixed(2)]);
  }
  table(`${kind}: CPU in % of one core, against the limit program`,
    ['viewers', 'spotter', 'limit', 'per added', 'limit', 'ratio', 'RSS MiB', 'KiB/viewer', 'threads', 'Mbit/s each'], rows);
}

/** The program that does no more than send the same bytes; for UDP to sockets that nobody asked for. */
async function rtspLimit(t, transport, size, viewers) {
  if (transport === 'tcp') {
    const writer = start(t, join(BUILD, 'tests/limit'), [String(size), '30']);
    const [, port] = await writer.line(/ready (\d+)/);
    return load(t, writer.child.pid, viewers, http(port, '/'));
  }
  const sink = start(t, join(BUILD, 'tests/rtsp-sink'), ['bare', '0', String(viewers), '-']);
  const [, ports] = await sink.line(/ports (.*)/);
  const writer = start(t, join(BUILD, 'tests/udp-limit'), [String(size), '30', ...ports.trim().split(' ')]);
  return load(t, writer.child.pid, viewers, () => sink);
}

/** RTSP viewers: Spotter, gst-rtsp-server as it comes, and the limit programs. */
async function rtspCost(transport) {
  const counts = [1, 20, 100];
  const measured = {spotter: [], gst: [], limit: []};
  await scope(async t => {
    const camera = await startCamera(t, ['--kbps', '4000', '--size', '1280x720', '--no-audio', '--gop', '2']);
    const server = await startSpotter(t, {streams: {camera: camera.url}});
    const relay = await startCamera(t, ['--relay', camera.url]);
    for (const viewers of counts) {
      measured.spotter.push(await load(t, server.pid, viewers, rtsp(transport, server.rtspPort, 'camera')));
      measured.gst.push(await load(t, relay.child.pid, viewers, rtsp(transport, relay.port, 'camera')));
    }
  });
  for (const [i, viewers] of counts.entries())
    measured.limit.push(await scope(t => rtspLimit(t, transport, Math.round(measured.spotter[i].rate / 30), viewers)));
  const added = (who, i) => i ? (measured[who][i].cpu - measured[who][0].cpu) / (counts[i] - 1) : NaN;
  const show = (value, digits) => Number.isNaN(value) ? '' : value.toFixed(digits);
  table(`RTSP over ${transport.toUpperCase()}: CPU in % of one core; per added viewer, against the limit program`,
    ['viewers', 'spotter', 'gst-rtsp-server', 'limit', 'spotter +', 'gst +', 'limit +', 'ratio', 'gst ratio', 'RSS MiB', 'threads', 'gst threads', 'Mbit/s each'],
    counts.map((viewers, i) => [viewers, ...['spotter', 'gst', 'limit'].map(who => measured[who][i].cpu.toFixed(2)),
      ...['spotter', 'gst', 'limit'].map(who => show(added(who, i), 4)), show(added('spotter', i) / added('limit', i), 2),
      show(added('gst', i) / added('limit', i), 2), (measured.spotter[i].rss / 1024).toFixed(1), measured.spotter[i].threads,
      measured.gst[i].threads, (measured.spotter[i].rate * 8 / 1e6).toFixed(2)]));
}

/** Does this H.264 packet hold a parameter set or the beginning of an IDR slice? */
function startsKeyframe(data) {
  const type = data[12] & 31;
  if (type !== 24)
    return type === 7 || type === 5 || (type === 28 && (data[13] & 0x9f) === 0x85);
  for (let at = 13; at + 2 < data.length; at += 2 + data.readUInt16BE(at))
    if ([5, 7].includes(data[at + 2] & 31))
      return true;
  return false;
}

/** ms from the connection to the first packet that ends a picture after a keyframe has begun. */
async function rtspFirst(port, url, udp) {
  return scope(async t => {
    const client = new RtspClient(t, port);
    let keyframe = false, resolve;
    const done = new Promise(r => { resolve = r; });
    const began = performance.now();
    client.lanes[0].onpacket = data => {
      keyframe ||= startsKeyframe(data);
      if (keyframe && data[1] >> 7)
        resolve(performance.now() - began);
    };
    const {status} = await client.play(url, {udp});
    return status === 200 ? done : NaN;
  });
}

async function rtspJoiners() {
  const rows = [];
  await scope(async t => {
    const camera = await startCamera(t, ['--kbps', '4000', '--size', '1280x720', '--gop', '4']);
    const relay = await startCamera(t, ['--relay', camera.url]);
    const server = await startSpotter(t, {streams: {cam: camera.url, own: 'test:climber'}});
    for (const [name, port, url, n] of [['passthrough, GOP 4 s', server.rtspPort, `${server.rtsp}/cam`, 30],
      ['our own encoder', server.rtspPort, `${server.rtsp}/own`, 30], ['gst-rtsp-server, GOP 4 s', Number(relay.port), relay.url, 8]])
      for (const udp of [false, true]) {
        const cold = await rtspFirst(port, url, udp);
        const keep = new RtspClient(t, port);
        await keep.play(url);
        const warm = [];
        for (let i = 0; i < n; i++) {
          await after(Math.random() * 400);
          warm.push(await rtspFirst(port, url, udp));
        }
        keep.close();
        rows.push([`${name}, ${udp ? 'UDP' : 'TCP'}`, n, percentile(warm, 0.5).toFixed(0), percentile(warm, 0.95).toFixed(0), cold.toFixed(0)]);
      }
  });
  table('RTSP: first decodable frame of joiners, ms, from the connect', ['what', 'joiners', 'p50', 'p95', 'cold'], rows);
}

/** A lone TCP reader stands still for half a minute: what does the next viewer get? */
async function rtspStalled() {
  const rows = [];
  await scope(async t => {
    const camera = await startCamera(t, ['--kbps', '4000', '--size', '1280x720', '--no-audio', '--gop', '1']);
    const relay = await startCamera(t, ['--relay', camera.url]);
    const server = await startSpotter(t, {streams: {cam: camera.url}});
    for (const [name, port, url] of [['Spotter', server.rtspPort, `${server.rtsp}/cam`], ['gst-rtsp-server', Number(relay.port), relay.url]]) {
      const lone = new RtspClient(t, port);
      await lone.play(url);
      lone.socket.pause();
      await after(30000); // until the buffers on the way are full
      const next = new RtspClient(t, port);
      await Promise.race([next.play(url), after(5000)]);
      await after(5000);
      rows.push([name, (next.lanes[0].bytes * 8 / 5e6).toFixed(2), next.lanes[0].packets ? next.lanes[0].longestGap.toFixed(0) : 'nothing came']);
    }
  });
  table('RTSP: a viewer beside a lone reader that stands still, in its first five seconds', ['server', 'Mbit/s', 'longest gap ms'], rows);
}

/** Resolves with ms until the first whole picture that can be decoded is here. */
function firstFrame(url, whole) {
  return new Promise((resolve, reject) => {
    const began = performance.now();
    let body = Buffer.alloc(0);
    const req = request(url, {agent: false}, response => response.on('data', chunk => {
      body = Buffer.concat([body, chunk]);
      if (whole(body)) {
        resolve(performance.now() - began);
        req.destroy();
      }
    }));
    req.on('error', reject);
    req.end();
  });
}

const whole = {
  mp4(body) {
    for (let at = 0, moov = false; at + 8 <= body.length;) {
      const size = body.readUInt32BE(at);
      const type = body.toString('latin1', at + 4, at + 8);
      if (at + size > body.length)
        return false;
      moov ||= type === 'moov';
      if (moov && type === 'mdat')
        return true;
      at += size;
    }
    return false;
  },
  mjpeg: body => body.includes(Buffer.from([0xff, 0xd9])),
  /** A second packet that starts a video PES: the first picture is complete. */
  ts(body) {
    let starts = 0;
    for (let at = 0; at + 188 <= body.length; at += 188) {
      const pid = body.readUInt16BE(at + 1) & 0x1fff;
      const begins = body[at + 1] & 0x40;
      const payload = at + 4 + (body[at + 3] & 0x20 ? 1 + body[at + 4] : 0);
      if (begins && pid > 31 && payload + 4 <= at + 188 && body.readUInt32BE(payload) >>> 4 === 0x1e)
        starts++;
    }
    return starts >= 2;
  },
};

async function joiners() {
  const rows = [];
  await scope(async t => {
    const camera = await startCamera(t, ['--kbps', '4000', '--size', '1280x720', '--gop', '4']);
    const server = await startSpotter(t, {streams: {cam: camera.url}});
    for (const kind of ['mp4', 'mjpeg', 'ts']) {
      const url = `${server.base}/stream.${kind}?src=cam`;
      const cold = await firstFrame(url, whole[kind]);
      const warm = [];
      for (let i = 0; i < 30; i++) {
        await after(Math.random() * 400);
        warm.push(await firstFrame(url, whole[kind]));
      }
      rows.push([kind, 30, percentile(warm, 0.5).toFixed(1), percentile(warm, 0.95).toFixed(1), cold.toFixed(0)]);
    }
    const shots = [];
    for (let i = 0; i < 30; i++)
      shots.push(await firstFrame(`${server.base}/api/frame.jpeg?src=cam`, whole.mjpeg));
    rows.push(['frame.jpeg', 30, percentile(shots, 0.5).toFixed(1), percentile(shots, 0.95).toFixed(1), '']);
  });
  table('first decodable frame of joiners, ms (GOP 4 s; "first" starts what the door needs)',
    ['door', 'joiners', 'p50', 'p95', 'first'], rows);
}

/** Frames that `camera` traced, by their last bytes → when they left its encoder. */
const traced = camera => new Map(camera.lines.filter(line => line.startsWith('frame ')).map(line => {
  const [, key, ns] = line.split(' ');
  return [key, BigInt(ns)];
}));

const delays = (arrived, sent) => arrived.slice(60).filter(([key]) => sent.has(key))
  .map(([key, now]) => Number(now - sent.get(key)) / 1e6);

/** The least a receiver can do: rtspsrc, depayload, write each access unit to a pipe. */
async function bareReceiver(t, camera) {
  const arrived = [];
  const {child} = start(t, 'gst-launch-1.0', ['-q', 'rtspsrc', `location=${camera.url}`, 'latency=0', 'protocols=tcp', '!',
    'rtph264depay', '!', 'video/x-h264,stream-format=avc,alignment=au', '!', 'fdsink', 'fd=3', 'sync=false'],
  {stdio: ['ignore', 'pipe', 'pipe', 'pipe']});
  child.stdio[3].on('data', chunk => arrived.push([chunk.subarray(-16).toString('hex'), process.hrtime.bigint()]));
  await after(11000);
  return arrived;
}

async function mp4Client(server) {
  const arrived = [];
  await new Promise((resolve, reject) => {
    let body = Buffer.alloc(0);
    const req = request(`${server.base}/stream.mp4?src=cam&duration=11`, {agent: false}, response => {
      response.on('data', chunk => {
        const now = process.hrtime.bigint();
        body = Buffer.concat([body, chunk]);
        while (body.length >= 8 && body.length >= body.readUInt32BE(0)) {
          const size = body.readUInt32BE(0);
          if (body.toString('latin1', 4, 8) === 'mdat')
            arrived.push([body.subarray(Math.max(8, size - 16), size).toString('hex'), now]);
          body = body.subarray(size);
        }
      });
      response.on('close', resolve);
    });
    req.on('error', reject);
    req.end();
  });
  return arrived;
}

/** Access units by their last bytes, as an RTSP viewer gets them. */
async function rtspClient(t, server) {
  const arrived = [];
  const client = new RtspClient(t, server.rtspPort);
  client.lanes[0].onpacket = data => {
    if (data[1] >> 7)
      arrived.push([data.subarray(-16).toString('hex'), process.hrtime.bigint()]);
  };
  await client.play(`${server.rtsp}/cam`);
  await after(11000);
  client.close();
  return arrived;
}

/** From the encoder in the camera's process to a client; the camera's own pacing is in both rows. */
async function latency() {
  await scope(async t => {
    const camera = await startCamera(t, ['--kbps', '4000', '--size', '1280x720', '--no-audio', '--trace']);
    const server = await startSpotter(t, {streams: {cam: camera.url}});
    const [bare, mp4, over] = await Promise.all([bareReceiver(t, camera), mp4Client(server), rtspClient(t, server)]);
    const sent = traced(camera);
    const at = (values, p) => percentile(values, p);
    const rows = [['bare RTSP receiver', delays(bare, sent)], ['Spotter, MP4 client', delays(mp4, sent)],
      ['Spotter, RTSP client', delays(over, sent)]];
    const cells = rows.map(([name, ms]) => [name, ms.length, ...[0.5, 0.95, 0.99].map(p => at(ms, p).toFixed(1))]);
    for (const [i, name] of [[1, 'MP4'], [2, 'RTSP']])
      cells.push([`added, ${name}`, '', ...[0.5, 0.95, 0.99].map(p => (at(rows[i][1], p) - at(rows[0][1], p)).toFixed(1))]);
    table('latency, H.264 passthrough, ms (one frame is 33.3)', ['path', 'frames', 'p50', 'p95', 'p99'], cells);
  });
}

async function idle() {
  const rows = [];
  for (const n of [1, 100])
    await scope(async t => {
      const streams = Object.fromEntries(Array.from({length: n}, (_, i) => [`cam${i}`, `rtsp://127.0.0.1:9/${i}`]));
      const began = performance.now();
      const server = await startSpotter(t, {streams});
      const ready = performance.now() - began;
      await after(1000);
      const cpu = cpuNs(server.pid);
      await after(MEASURE_MS);
      rows.push([n, ready.toFixed(0), ((cpuNs(server.pid) - cpu) / MEASURE_MS / 1e4).toFixed(3),
        (rssKiB(server.pid) / 1024).toFixed(1), countThreads(server.pid)]);
    });
  table('idle', ['streams', 'start ms', 'CPU %', 'RSS MiB', 'threads'], rows);
}

/** CPU in percent of one core, memory and threads of `pid` over some seconds. */
async function measure(pid) {
  const [cpu, began] = [cpuNs(pid), performance.now()];
  await after(MEASURE_MS);
  return {cpu: (cpuNs(pid) - cpu) / (performance.now() - began) / 1e4, rss: rssKiB(pid), threads: countThreads(pid)};
}

/** WebRTC: webrtcbin receivers in another process; keyframes four seconds apart. */
async function webrtc() {
  const rows = [];
  await scope(async t => {
    const camera = await startCamera(t, ['--kbps', '4000', '--size', '1280x720', '--no-audio', '--gop', '4']);
    const server = await startSpotter(t, {streams: {cam: camera.url}, options: {'webrtc.max_pending': '100'}});
    for (const viewers of [1, 10, 50])
      await scope(async inner => {
        const client = start(inner, join(BUILD, 'tests/webrtc-client'), [`${server.base}/whep/cam`, String(viewers), '1', '60000']);
        await client.line(/^all/);
        await after(2000);
        const own = await measure(server.pid);
        const joined = client.lines.map(line => /^joined (\d+)/.exec(line)).filter(Boolean).map(([, ms]) => Number(ms));
        rows.push([viewers, own.cpu.toFixed(1), (own.cpu / viewers).toFixed(2), (own.rss / 1024).toFixed(0),
          own.threads, percentile(joined, 0.5), percentile(joined, 0.95)]);
        client.child.kill('SIGKILL');
        await waitFor('them to leave', async () => (await server.json('/api/streams/cam/stats')).viewers.length === 0);
      });
  });
  table('WebRTC, 4 Mbit/s: CPU in % of one core; ms from offer to the first decodable frame',
    ['viewers', 'CPU', 'each', 'RSS MiB', 'threads', 'p50', 'p95'], rows);
}

/** A low-latency HLS viewer: waits for each part by the playlist and fetches it. */
function hlsViewer(t, base, name) {
  const agent = new Agent({keepAlive: true});
  const viewer = {bytes: 0, over: false};
  const get = path => new Promise((resolve, reject) => request(base + path, {agent}, response => {
    const chunks = [];
    response.on('data', chunk => chunks.push(chunk)).on('end', () => resolve(Buffer.concat(chunks)));
  }).on('error', reject).end());
  const play = async () => {
    let query = '';
    while (!viewer.over) {
      const text = (await get(`/api/hls/playlist.m3u8?src=${name}${query}`)).toString();
      const [, hint, n, part] = /PRELOAD-HINT:TYPE=PART,URI="(\S+&n=(\d+)&part=(\d+))"/.exec(text) ?? [];
      if (!hint)
        continue;
      viewer.bytes += (await get(`/api/hls/${hint}`)).length;
      query = `&_HLS_msn=${n}&_HLS_part=${part}`;
    }
  };
  play().catch(() => {});
  t.after(() => { viewer.over = true; agent.destroy(); });
  return viewer;
}

async function hls() {
  const rows = [];
  await scope(async t => {
    const camera = await startCamera(t, ['--kbps', '4000', '--size', '1280x720', '--no-audio', '--gop', '2']);
    const server = await startSpotter(t, {streams: {cam: camera.url}, options: {'api.max_connections_per_address': '1000'}});
    for (const viewers of [1, 50, 200])
      await scope(async inner => {
        const all = Array.from({length: viewers}, () => hlsViewer(inner, server.base, 'cam'));
        await waitFor('all to play', () => all.every(({bytes}) => bytes > 100000));
        const bytes = all.reduce((sum, one) => sum + one.bytes, 0);
        const own = await measure(server.pid);
        const rate = (all.reduce((sum, one) => sum + one.bytes, 0) - bytes) * 8 / MEASURE_MS / 1000 / viewers;
        rows.push([viewers, own.cpu.toFixed(1), (own.cpu / viewers).toFixed(3), (own.rss / 1024).toFixed(0), own.threads, rate.toFixed(2)]);
      });
  });
  table('HLS, low latency, two requests for each half second: CPU in % of one core',
    ['viewers', 'CPU', 'each', 'RSS MiB', 'threads', 'Mbit/s each'], rows);
}

/** From the drawing of a picture to its appearance on a canvas in Chromium. The ball goes round once
 * a second by the wall clock, so where its centre is tells when it was drawn. */
async function glass() {
  const rows = [];
  for (const mode of ['webrtc', 'mse', 'mjpeg'])
    await scope(async t => {
      const server = await startSpotter(t, {launch: ('videotestsrc is-live=true pattern=ball motion=sweep animation-mode=wall-time ! ' +
        'video/x-raw,format=I420,width=640,height=360,framerate=30/1 ! identity').split(' ')});
      const browser = await openBrowser(t);
      const {page} = await openPage(t, browser);
      await page.goto(`${server.base}/stream.html?src=camera&mode=${mode}`);
      await waitFor(mode, async () => (await player(page)).mode === mode && (await player(page)).frames > 90);
      const late = await page.$eval('video-stream', async element => {
        const [width, height] = [160, 90];
        const canvas = Object.assign(document.createElement('canvas'), {width, height});
        const context = canvas.getContext('2d', {willReadFrequently: true});
        const all = [];
        while (all.length < 300) {
          await new Promise(resolve => requestAnimationFrame(resolve));
          context.drawImage(element.video, 0, 0, width, height);
          const {data} = context.getImageData(0, 0, width, height);
          let [x, y, weight] = [0, 0, 0];
          for (let i = 0; i < data.length / 4; i++) {
            const bright = Math.max(0, data[i * 4] - 40);
            x += (i % width) * bright;
            y += Math.floor(i / width) * bright;
            weight += bright;
          }
          const turn = Math.atan2(x / weight - width / 2, height / 2 - y / weight) / (2 * Math.PI);
          all.push(((Date.now() / 1000 - turn) % 1) * 1000);
        }
        return all;
      });
      rows.push([mode, late.length, ...[0.5, 0.95].map(p => percentile(late, p).toFixed(0))]);
    });
  table('glass to glass in Chromium, ms, 30 fps on loopback (a frame stands for 33 ms)', ['mode', 'samples', 'p50', 'p95'], rows);
}

/** The number of the picture shown against that of the picture whose skeleton lies on it, in Chromium. */
async function skew() {
  const rows = [];
  for (const [codec, way] of [['h264', 'passthrough'], ['jpeg', 'our own encoder']])
    for (const [mode, options] of [['webrtc', skewOptions], ['mse', skewOptions], ['webrtc', {'pose.smoothing': 'false'}]])
      await scope(async t => {
        const camera = await startCamera(t, ['--numbered', '--no-audio', '--kbps', '3000', '--codec', codec]);
        const server = await startSpotter(t, {streams: {camera: camera.url}, options});
        const browser = await openBrowser(t);
        const {page} = await openPage(t, browser);
        const seen = await measureSkew(page, server.base, 'camera', mode, 20000);
        const percent = part => (part * 100).toFixed(2);
        rows.push([`${way}, ${mode}`, options['pose.fps'] ? 30 : 15, seen.frames, seen.how.exact, percent(share(seen, 0)), percent(share(seen, 1)),
          seen.how.exact - seen.read, seen.how.between, seen.how.held + seen.how.none, seen.ticks.toFixed(2)]);
      });
  table('Skew in 20 s, 30 fps: frames with a pose of exactly their time, by how many pictures it is off',
    ['way', 'analysed/s', 'shown', 'exact', '0 off %', '≤ 1 off %', 'unreadable', 'between', 'late', 'ticks apart'], rows);
}

/** What posedetect sees, what it takes, and what that costs the server. */
async function pose() {
  for (const [title, program] of [['Steps of an analysis, 1280×720, one thread (medians)', 'bench-pose'], ['posedetect against the drawn climber', 'pose-accuracy']]) {
    console.log(`\n${title}`);
    await scope(async t => {
      const run = start(t, join(BUILD, 'tests', program), []);
      await run.exited;
      run.lines.filter(line => !/XNNPACK/.test(line)).forEach(line => console.log(line));
    });
  }
  const rows = [];
  for (const [size, fps, subscribers, streams] of [['1280x720', 15, 1, 1], ['1280x720', 30, 1, 1], ['1920x1080', 15, 1, 1], ['1920x1080', 30, 1, 1],
    ['1280x720', 30, 200, 1], ['1280x720', 15, 1, 2], ['1280x720', 30, 1, 4]])
    await scope(async t => {
      const [width, height] = size.split('x');
      const source = `gst:climbersrc is-live=true ! video/x-raw,width=${width},height=${height},framerate=30/1 ! identity`;
      const names = Array.from({length: streams}, (_, i) => `cam${i}`);
      const server = await startSpotter(t, {streams: Object.fromEntries(names.map(name => [name, source])), options: {'pose.fps': String(fps)}});
      const alone = await Promise.all(names.map(name => server.get(`/api/frame.jpeg?src=${name}`)));
      const before = cpuNs(server.pid);
      await new Promise(resolve => setTimeout(resolve, MEASURE_MS));
      const base = (cpuNs(server.pid) - before) / 1e6 / MEASURE_MS * 100;
      const clients = names.flatMap(name => Array.from({length: subscribers}, () => new WsClient(t, server, `/ws/pose/${name}`)));
      const seen = client => client.texts.filter(({type}) => type === 'pose');
      await waitFor('poses', () => clients.every(client => seen(client).length > 30));
      const from = seen(clients[0]).length, begin = cpuNs(server.pid), began = performance.now();
      await new Promise(resolve => setTimeout(resolve, MEASURE_MS));
      const ms = performance.now() - began, cpu = (cpuNs(server.pid) - begin) / 1e6 / ms * 100;
      const got = seen(clients[0]).slice(from), latencies = got.map(({latency_ms: latency}) => latency).sort((a, b) => a - b);
      const {branches} = await server.json('/api/streams/cam0/stats');
      const {stats} = branches.find(({element}) => element === 'posedetect');
      rows.push([size, fps, streams, subscribers, (got.length * 1000 / ms).toFixed(1), base.toFixed(1), cpu.toFixed(1), stats.analysis_ms.toFixed(1),
        latencies[Math.floor(latencies.length / 2)], latencies[Math.floor(latencies.length * 0.95)], Math.round(rssKiB(server.pid) / 1024)]);
      alone.forEach(({body}) => body?.cancel());
    });
  table('Poses from the server: CPU in percent of a core (without and with), capture → message in ms',
    ['size', 'fps', 'streams', 'subscribers', 'poses/s', 'CPU without', 'CPU with', 'analysis ms', 'p50', 'p95', 'RSS MiB'], rows);
}

const all = {
  idle, latency, join: joiners, webrtc, hls, glass, skew, pose,
  async cost() {
    await cost('mp4', 30);
    await cost('mjpeg', 30);
  },
  mse: () => cost('mse', 30),
  'rtsp-stall': rtspStalled, 'rtsp-join': rtspJoiners,
  async rtsp() {
    await rtspCost('tcp');
    await rtspCost('udp');
  },
};
const wanted = process.argv.slice(2);
for (const name of wanted.length ? wanted : Object.keys(all))
  await all[name]();
process.exit(0);
