// SPDX-License-Identifier: LGPL-2.1-or-later
// HLS: playlists held against the rules of RFC 8216 and the low-latency draft, and players.

import {test} from 'node:test';
import assert from 'node:assert/strict';
import {createServer} from 'node:http';
import {readFileSync} from 'node:fs';
import {areBars, keep, look, openBrowser, openFirefox, openPage, player} from '../lib/browser.mjs';
import {run, start, startCamera, startSpotter, waitFor} from '../lib/lib.mjs';
import {WsClient} from '../lib/ws.mjs';

/** A media playlist, checked: RFC 8216, 4.3 and draft-pantos-hls-rfc8216bis, 4.4. */
function check(text) {
  const lines = text.split('\n');
  assert.equal(lines[0], '#EXTM3U');
  assert.equal(lines.at(-1), '');
  const value = name => lines.find(line => line.startsWith(`#${name}:`))?.slice(name.length + 2);
  const attribute = (line, name) => new RegExp(`[:,]${name}=("[^"]*"|[^,]*)`).exec(line)?.[1].replaceAll('"', '');
  const list = {target: Number(value('EXT-X-TARGETDURATION')), sequence: Number(value('EXT-X-MEDIA-SEQUENCE')),
    segments: [], parts: [], hint: '', partTarget: 0, live: !text.includes('#EXT-X-ENDLIST')};
  assert.ok(Number.isInteger(list.target) && list.target > 0, 'EXT-X-TARGETDURATION is an integer');
  assert.ok(Number.isInteger(list.sequence));
  assert.ok(Number(value('EXT-X-VERSION')) >= 6, 'EXT-X-MAP asks for version 6');
  assert.equal(lines.filter(line => line.startsWith('#EXT-X-TARGETDURATION')).length, 1);
  if (text.includes('#EXT-X-PART:')) {
    list.partTarget = Number(attribute(`:${value('EXT-X-PART-INF')}`, 'PART-TARGET'));
    const control = `:${value('EXT-X-SERVER-CONTROL')}`;
    assert.equal(attribute(control, 'CAN-BLOCK-RELOAD'), 'YES');
    assert.ok(Number(attribute(control, 'PART-HOLD-BACK')) >= 2 * list.partTarget, 'PART-HOLD-BACK');
  }
  let map = '', date = 0, duration = 0, parts = [];
  for (const line of lines.slice(1, -1)) {
    assert.doesNotMatch(line, /^\s*$/, 'no empty lines');
    if (line.startsWith('#EXT-X-MAP:')) {
      map = attribute(line, 'URI');
    } else if (line.startsWith('#EXT-X-PROGRAM-DATE-TIME:')) {
      const next = Date.parse(line.slice(25));
      assert.ok(next > date, 'dates go on');
      if (date && duration)
        assert.ok(Math.abs(next - date - duration * 1000) < 100, `the dates are ${next - date} ms apart, the segment is ${duration} s`);
      date = next;
    } else if (line.startsWith('#EXT-X-PART:')) {
      const part = {duration: Number(attribute(line, 'DURATION')), uri: attribute(line, 'URI'),
        independent: attribute(line, 'INDEPENDENT') === 'YES'};
      assert.ok(part.duration <= list.partTarget + 0.001, `a part of ${part.duration} s`);
      if (parts.length)
        assert.ok(parts.at(-1).duration >= 0.85 * list.partTarget, 'all but the last of a segment are 85 % of the target');
      else
        assert.ok(part.independent, 'a segment begins with a keyframe');
      parts.push(part);
      list.parts.push(part);
    } else if (line.startsWith('#EXT-X-PRELOAD-HINT:')) {
      list.hint = attribute(line, 'URI');
    } else if (line.startsWith('#EXTINF:')) {
      duration = Number(line.slice(8).split(',')[0]);
      assert.ok(Math.round(duration) <= list.target, `a segment of ${duration} s`);
    } else if (!line.startsWith('#')) {
      assert.ok(map, 'EXT-X-MAP comes first');
      assert.ok(duration > 0, 'EXTINF comes first');
      if (parts.length)
        assert.ok(Math.abs(parts.reduce((sum, part) => sum + part.duration, 0) - duration) < 0.01, 'parts make the segment');
      list.segments.push({uri: line, duration, map});
      parts = [];
    }
  }
  assert.ok(list.live);
  return list;
}

const playlist = async (server, query = '') =>
  check(await (await server.get(`/api/hls/playlist.m3u8?src=bars${query}`)).text());

test('playlists keep the rules, reload when there is more, and name what can be fetched', async t => {
  const server = await startSpotter(t, {streams: {bars: 'test:smpte'}});
  const began = Date.now();
  const master = await server.get('/api/stream.m3u8?src=bars');
  t.diagnostic(`figure: the first playlist after ${Date.now() - began} ms`);
  assert.equal(master.headers.get('content-type'), 'application/vnd.apple.mpegurl');
  assert.match(await master.text(), /#EXT-X-STREAM-INF:BANDWIDTH=\d{6,},CODECS="avc1\.[0-9A-F]{6},mp4a\.40\.2"\nhls\/playlist\.m3u8\?src=bars\n$/);
  let last = await playlist(server);
  while (last.segments.length < 4) {
    // the next part: the answer waits for it
    const part = last.hint.match(/n=(\d+)&part=(\d+)/);
    const asked = Date.now();
    const next = await playlist(server, `&_HLS_msn=${part[1]}&_HLS_part=${part[2]}`);
    assert.ok(next.parts.some(({uri}) => uri === last.hint) || next.segments.length > last.segments.length, 'it has what was waited for');
    assert.ok(Date.now() - asked < 3000);
    last = next;
  }
  const fetchAll = async uris => Buffer.concat(await Promise.all(uris.map(async uri => {
    const response = await server.get(`/api/hls/${uri}`);
    assert.equal(response.status, 200, uri);
    return Buffer.from(await response.arrayBuffer());
  })));
  const [, second] = last.segments;
  const whole = await fetchAll([second.uri]);
  assert.equal(whole.toString('latin1', 4, 8), 'moof');
  const ofSecond = last.parts.filter(({uri}) => uri.includes(`n=${last.sequence + 1}&`));
  if (ofSecond.length)
    assert.deepEqual(await fetchAll(ofSecond.map(({uri}) => uri)), whole, 'parts are the segment');
  const [hinted] = await Promise.all([server.get(`/api/hls/${last.hint}`)]); // waits until it is there
  assert.equal(hinted.status, 200);
  const init = await fetchAll([second.map]);
  assert.equal(init.toString('latin1', 4, 8), 'ftyp');

  const plain = await playlist(server, '&ll=0');
  assert.equal(plain.parts.length, 0);
  assert.ok(plain.segments.length >= 3);
  for (const [path, status] of [['hls/playlist.m3u8?src=nobody', 404], ['hls/playlist.m3u8?src=bars&_HLS_msn=999999999999', 400],
    ['hls/segment.m4s?src=bars&n=999999999999', 400], ['hls/segment.m4s?src=bars&n=5', 404], ['hls/segment.m4s?src=bars&n=x', 400], ['hls/init.mp4?src=bars&v=9', 404]])
    assert.equal((await server.get(`/api/${path}`)).status, status, path);
  const consumers = (await server.json('/api/streams?src=bars')).consumers;
  assert.deepEqual(consumers.map(({format_name}) => format_name), ['hls/fmp4']);
});

test('ffmpeg and GStreamer play it; Apple\'s player is sent here from the MP4', async t => {
  const camera = await startCamera(t, ['--gop', '3']);
  const server = await startSpotter(t, {streams: {cam: camera.url}});
  const url = `${server.base}/stream.m3u8?src=cam`;
  const {code, stderr} = await run('ffmpeg', ['-v', 'error', '-i', url, '-t', '8', '-c', 'copy', '-f', 'null', '-']);
  assert.equal(code, 0);
  assert.equal(stderr, '');
  // playbin3: hlsdemux2 wants a pipeline that knows of streams
  const gst = start(t, 'gst-launch-1.0', ['-v', 'playbin3', `uri=${url}`, 'audio-sink=fakesink', 'video-sink=fakesink silent=false']);
  await waitFor('GStreamer to play', () => gst.lines.filter(line => /fakesink.*chain.*pts/.test(line)).length >= 100);
  assert.ok(gst.lines.some(line => line.includes('hlsdemux2')));
  const apple = await fetch(`${server.base}/stream.mp4?src=cam`, {redirect: 'manual', headers: {'User-Agent': 'AppleCoreMedia/1.0.0'}});
  assert.equal(apple.status, 307);
  assert.equal(apple.headers.get('location'), 'stream.m3u8?src=cam');
});

test('over the WebSocket: hls is the playlist, mp4 is keyframes', async t => {
  const server = await startSpotter(t, {streams: {bars: 'test:smpte'}});
  const ws = new WsClient(t, server, '/api/ws?src=bars');
  const films = [];
  ws.onbinary = payload => films.push(Buffer.from(payload));
  ws.say('hls', 'avc1.640029,mp4a.40.2');
  await waitFor('the playlist', () => ws.texts.some(({type}) => type === 'hls'));
  assert.match(ws.texts.find(({type}) => type === 'hls').value, /^#EXTM3U\n[^]*hls\/playlist\.m3u8\?src=bars\n$/);
  ws.say('mp4', 'avc1.640029');
  await waitFor('two keyframes', () => films.length > 1);
  assert.equal(films[0].toString('latin1', 4, 8), 'ftyp');
  assert.ok(films[0].includes('moof') && films[0].includes('mdat'));
});

test('a stream that was removed and made anew under its name', async t => {
  const server = await startSpotter(t, {streams: {cam: 'test:smpte'}});
  const old = new WsClient(t, server, '/api/ws?src=cam');
  await waitFor('the socket', () => old.status === 101);
  assert.equal((await server.get('/api/stream.m3u8?src=cam')).status, 200);
  const waiting = server.get('/api/hls/playlist.m3u8?src=cam&_HLS_msn=999999999');
  await fetch(`${server.base}/api/streams?src=cam`, {method: 'DELETE'});
  assert.equal((await server.add('cam', 'test:ball')).status, 200);
  const fresh = new WsClient(t, server, '/api/ws?src=cam');
  const asked = server.get('/api/stream.m3u8?src=cam');
  fresh.say('hls');
  old.say('hls');
  assert.ok((await waiting).status >= 200);
  assert.equal((await asked).status, 200);
  await waitFor('both to be answered', () => [old, fresh].every(({texts}) => texts.some(({type}) => type === 'hls' || type === 'error')));
  assert.ok(fresh.texts.some(({type}) => type === 'hls'));
  old.socket.destroy();
  fresh.socket.destroy();
  assert.equal((await server.get('/api/stream.m3u8?src=cam')).status, 200);
});

test('browsers: our player, and hls.js with and without low latency', async t => {
  const browser = await openBrowser(t);
  if (!browser)
    return;
  const server = await startSpotter(t, {streams: {bars: 'test:smpte'}});
  const {page} = await openPage(t, browser);
  await page.goto(`${server.base}/stream.html?src=bars&mode=hls`);
  await waitFor('frames', async () => { const {mode, frames} = await player(page); return mode === 'hls' && frames > 60; });
  await waitFor('the bars', async () => areBars((await look(page, 'video-stream video')).bars));
  t.diagnostic(`figure: our player is ${(await player(page)).behind.toFixed(1)} s behind what it has`);
  await keep(page, 'player-hls');
  const script = readFileSync(new URL('../node_modules/hls.js/dist/hls.js', import.meta.url));
  const site = createServer((request, response) => {
    response.setHeader('Content-Type', request.url === '/hls.js' ? 'text/javascript' : 'text/html');
    response.end(request.url === '/hls.js' ? script : '<script src="/hls.js"></script><video muted autoplay></video>');
  }).listen(0, '127.0.0.1');
  t.after(() => site.close());
  await new Promise(resolve => site.once('listening', resolve));
  for (const lowLatencyMode of [true, false]) {
    await page.goto(`http://127.0.0.1:${site.address().port}/`);
    const errors = await page.evaluate(async ([url, low]) => {
      const fatal = [];
      window.hls = new window.Hls({lowLatencyMode: low});
      window.hls.on(window.Hls.Events.ERROR, (_, data) => data.fatal && fatal.push(data.details));
      window.hls.loadSource(url);
      window.hls.attachMedia(document.querySelector('video'));
      window.fatal = fatal;
      return fatal;
    }, [`${server.base}/api/stream.m3u8?src=bars`, lowLatencyMode]);
    assert.deepEqual(errors, []);
    await waitFor('hls.js to play', () => page.$eval('video', video => video.currentTime > 0 && video.getVideoPlaybackQuality().totalVideoFrames > 100));
    await waitFor('the bars', async () => areBars((await look(page, 'video')).bars));
    const {latency, fatal} = await page.evaluate(() => ({latency: window.hls.latency, fatal: window.fatal}));
    assert.deepEqual(fatal, []);
    t.diagnostic(`figure: hls.js, low latency ${lowLatencyMode ? 'on' : 'off'}: ${latency.toFixed(1)} s`);
  }
});

test('Firefox plays it with our player', async t => {
  const browser = await openFirefox(t);
  if (!browser)
    return;
  const server = await startSpotter(t, {streams: {bars: 'test:smpte'}});
  const page = await browser.newPage();
  await page.goto(`${server.base}/stream.html?src=bars&mode=hls`);
  await waitFor('frames', async () => { const {mode, frames} = await player(page); return mode === 'hls' && frames > 60; });
  await waitFor('the bars', async () => areBars((await look(page, 'video-stream video')).bars));
});
