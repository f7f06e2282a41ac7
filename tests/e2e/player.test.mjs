// SPDX-License-Identifier: LGPL-2.1-or-later
// The player in Chromium and Firefox: each way to play, falling back, coming back.

import {test} from 'node:test';
import assert from 'node:assert/strict';
import {areBars, isWall, keep, look, openBrowser, openFirefox, openPage, player} from '../lib/browser.mjs';
import {countThreads, startCamera, startSpotter, waitFor} from '../lib/lib.mjs';

const VIDEO = 'video-stream video:not(.waiting)';
const mode = (page, name) => waitFor(`the mode '${name}'`, async () => (await player(page)).mode === name);

/** Waits until so many more frames have been shown, and time has gone on. */
async function progress(page, frames = 30) {
  const before = await player(page);
  await waitFor('frames', async () => {
    const now = await player(page);
    return now.frames > before.frames + frames && (now.mode === 'mjpeg' || now.time > before.time);
  });
}

async function shows(page, looks) {
  await waitFor('the right picture', async () => looks(await look(page, VIDEO)));
  const first = await look(page, VIDEO);
  return waitFor('it to move', async () => (await look(page, VIDEO)).sum !== first.sum);
}

const consumers = async (server, name) => (await server.json(`/api/streams/${name}/stats`)).viewers;

test('WebRTC in Chromium: the camera\'s own H.264, with sound, and what the server says of it', async t => {
  const browser = await openBrowser(t);
  if (!browser)
    return;
  const camera = await startCamera(t, ['--gop', '4']);
  const server = await startSpotter(t, {streams: {bars: 'test:smpte', cam: camera.url}});
  const {page, problems} = await openPage(t, browser);
  await page.goto(`${server.base}/stream.html?src=bars&mode=webrtc`);
  await mode(page, 'webrtc');
  await progress(page);
  assert.equal((await player(page)).width, 1280);
  await waitFor('the bars', async () => areBars((await look(page, VIDEO)).bars));
  await keep(page, 'player-webrtc');
  const energy = await page.$eval('video-stream', async element => {
    const context = new AudioContext();
    const analyser = context.createAnalyser();
    context.createMediaStreamSource(element.video.srcObject).connect(analyser);
    const samples = new Float32Array(analyser.fftSize);
    for (let i = 0; i < 100; i++) {
      await new Promise(resolve => requestAnimationFrame(resolve));
      analyser.getFloatTimeDomainData(samples);
      if (samples.some(sample => Math.abs(sample) > 0.01))
        return true;
    }
    return false;
  });
  assert.ok(energy, 'no sound');
  const viewer = (await consumers(server, 'bars')).find(({format_name}) => format_name === 'webrtc');
  assert.equal(viewer.codecs, 'H264,OPUS');
  await waitFor('figures of the link', async () => {
    const [{bitrate, rtt_ms, loss}] = await consumers(server, 'bars');
    return bitrate > 1e5 && rtt_ms > 0 && loss === 0;
  });

  // keyframes four seconds apart, joined in their middle: the cached group is there at once
  await page.goto(`${server.base}/stream.html?src=cam&mode=webrtc`);
  await mode(page, 'webrtc');
  await progress(page);
  const {branches} = await server.json('/api/streams/cam/stats');
  assert.ok(!branches.some(({name}) => /h264$|vp8/.test(name)), 'it is encoded anew');
  assert.deepEqual(problems, []);
});

test('Firefox: VP8 by WebRTC, and MSE', async t => {
  const browser = await openFirefox(t);
  if (!browser)
    return;
  const server = await startSpotter(t, {streams: {bars: 'test:smpte', camera: 'test:climber'}});
  const page = await browser.newPage();
  await page.goto(`${server.base}/stream.html?src=bars&mode=webrtc`);
  await mode(page, 'webrtc');
  await progress(page);
  await waitFor('the bars', async () => areBars((await look(page, VIDEO)).bars));
  await keep(page, 'firefox-webrtc');
  const [viewer] = await consumers(server, 'bars');
  t.diagnostic(`Firefox is sent ${viewer.codecs}`);
  assert.match(viewer.codecs, /^(VP8|H264),OPUS$/);
  await page.goto(`${server.base}/stream.html?src=camera&mode=mse`);
  await mode(page, 'mse');
  await progress(page);
  assert.ok(await shows(page, isWall));
});

test('MSE at the live edge; MJPEG when asked', async t => {
  const browser = await openBrowser(t);
  if (!browser)
    return;
  const camera = await startCamera(t, ['--gop', '4']);
  const server = await startSpotter(t, {streams: {camera: 'test:climber', cam: camera.url}});
  const {page, problems} = await openPage(t, browser);
  await page.goto(`${server.base}/stream.html?src=camera&mode=mse`);
  await mode(page, 'mse');
  await progress(page);
  const live = await player(page);
  assert.equal(live.width, 1280);
  assert.ok(live.behind < 1.5, `${live.behind} s behind`);
  t.diagnostic(`figure: the player is ${(live.behind * 1000).toFixed(0)} ms behind what it has`);
  await shows(page, isWall);
  await keep(page, 'player-mse');

  // a GOP of four seconds, joined in its middle: still at the edge
  await page.goto(`${server.base}/stream.html?src=cam&mode=mse`);
  await mode(page, 'mse');
  await progress(page);
  assert.ok((await player(page)).behind < 1.5);
  await camera.kill();
  await waitFor('the failure', async () => await server.state('cam') === 'failed');
  await startCamera(t, ['--gop', '4', '--port', camera.port]);
  await progress(page);

  await page.goto(`${server.base}/stream.html?src=camera&mode=mjpeg`);
  await mode(page, 'mjpeg');
  await progress(page, 10);
  assert.ok(isWall(await look(page, 'video-stream img')));
  assert.deepEqual(problems, []);
});

test('it falls back: no way for WebRTC, no Media Source Extensions', async t => {
  const browser = await openBrowser(t);
  if (!browser)
    return;
  // the one address that peers are told is nobody's: as if a firewall stood between
  const server = await startSpotter(t, {streams: {camera: 'test:climber'}, options: {'webrtc.listen': '10.99.0.77:0'}});
  const {page} = await openPage(t, browser);
  const began = Date.now();
  await page.goto(`${server.base}/stream.html?src=camera`);
  await mode(page, 'mse');
  t.diagnostic(`figure: without a way for WebRTC, MSE plays after ${Date.now() - began} ms`);
  await waitFor('WebRTC to be given up', async () => /^webrtc: /.test((await player(page)).why));
  await progress(page);
  assert.equal((await player(page)).mode, 'mse');
  await page.addInitScript(() => { delete window.MediaSource; delete window.ManagedMediaSource; });
  await page.goto(`${server.base}/stream.html?src=camera&mode=mse,mjpeg`);
  await mode(page, 'mjpeg');
  assert.match((await player(page)).why, /^mse: this browser has no/);
});

test('WebRTC takes over from MSE, and comes back after a restart of the source and of the server', async t => {
  const browser = await openBrowser(t);
  if (!browser)
    return;
  const camera = await startCamera(t);
  const server = await startSpotter(t, {streams: {cam: camera.url}});
  const {page} = await openPage(t, browser);
  await page.goto(`${server.base}/stream.html?src=cam`);
  await mode(page, 'webrtc');
  await waitFor('MSE to leave', async () => (await consumers(server, 'cam')).length === 1);
  await camera.kill();
  await waitFor('the failure', async () => await server.state('cam') === 'failed');
  await startCamera(t, ['--port', camera.port]);
  await progress(page);
  assert.equal((await player(page)).mode, 'webrtc');
  const {port} = server;
  await server.stop();
  await waitFor('the player to see it', async () => (await player(page)).mode === '');
  const again = await startSpotter(t, {streams: {cam: camera.url}, options: {'api.listen': `127.0.0.1:${port}`}});
  await mode(page, 'webrtc');
  await progress(page);
  await waitFor('one viewer', async () => (await consumers(again, 'cam')).length === 1);
});

test('ten reloads and ten tabs: one transcode, and nothing stays', async t => {
  const browser = await openBrowser(t);
  if (!browser)
    return;
  const server = await startSpotter(t, {streams: {camera: 'test:climber'}});
  const {page} = await openPage(t, browser);
  for (let i = 0; i < 10; i++) {
    await page.goto(`${server.base}/stream.html?src=camera&mode=webrtc`);
    await mode(page, 'webrtc');
  }
  await waitFor('the earlier ones to leave', async () => (await consumers(server, 'camera')).length === 1);
  const one = countThreads(server.pid);
  const tabs = await Promise.all(Array.from({length: 9}, async () => {
    const {page: tab} = await openPage(t, browser, {width: 320, height: 200});
    await tab.goto(`${server.base}/stream.html?src=camera&mode=webrtc`);
    await mode(tab, 'webrtc');
    return tab;
  }));
  await Promise.all([page, ...tabs].map(tab => progress(tab, 10)));
  const {branches, viewers} = await server.json('/api/streams/camera/stats');
  assert.equal(viewers.length, 10);
  assert.equal(branches.filter(({name}) => /h264$/.test(name)).length, 1);
  await Promise.all(tabs.map(tab => tab.close()));
  await waitFor('them to leave', async () => (await consumers(server, 'camera')).length === 1);
  await waitFor('their threads to end', async () => countThreads(server.pid) <= one + 2);
});
