// SPDX-License-Identifier: LGPL-2.1-or-later
// The page and the media doors in headless Chromium: pictures that move, not only events.

import {test} from 'node:test';
import assert from 'node:assert/strict';
import {createServer} from 'node:http';
import {existsSync, mkdirSync} from 'node:fs';
import {chromium} from 'playwright-core';
import {startCamera, startSpotter, waitFor} from '../lib/lib.mjs';

const FLAGS = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
  '--disable-component-update', '--disable-sync', '--autoplay-policy=no-user-gesture-required'];
const CHROMIUM = '/usr/bin/chromium';

async function openBrowser(t) {
  if (!existsSync(CHROMIUM)) {
    t.skip('chromium is missing: apt-get install chromium');
    return null;
  }
  const browser = await chromium.launch({executablePath: CHROMIUM, args: FLAGS});
  t.after(() => browser.close());
  return browser;
}

async function openPage(t, browser, size = {width: 1280, height: 900}) {
  const context = await browser.newContext({viewport: size, acceptDownloads: false});
  const page = await context.newPage();
  const problems = [];
  page.on('pageerror', error => problems.push(String(error)));
  page.on('console', message => message.type() === 'error' && problems.push(message.text()));
  return {page, problems};
}

/** The screenshots are kept where SPOTTER_SCREENSHOTS says, to be looked at. */
async function keep(page, name) {
  const directory = process.env.SPOTTER_SCREENSHOTS;
  if (!directory)
    return;
  mkdirSync(directory, {recursive: true});
  await page.screenshot({path: `${directory}/${name}.png`});
}

/** Average colour and a checksum of what an <img> or <video> shows. */
const look = (page, selector) => page.$eval(selector, element => {
  const canvas = Object.assign(document.createElement('canvas'), {width: 160, height: 90});
  const context = canvas.getContext('2d');
  context.drawImage(element, 0, 0, 160, 90);
  const {data} = context.getImageData(0, 0, 160, 90);
  const mean = [0, 0, 0];
  let sum = 0;
  for (let i = 0; i < data.length; i += 4) {
    for (let c = 0; c < 3; c++)
      mean[c] += data[i + c] / (data.length / 4);
    sum = (sum * 31 + data[i] + data[i + 1]) | 0;
  }
  return {mean, sum};
});

test('the page shows the climber moving, adds and removes streams, tells why a source fails', async t => {
  const browser = await openBrowser(t);
  if (!browser)
    return;
  const server = await startSpotter(t, {streams: {camera: 'test:climber'}});
  const {page, problems} = await openPage(t, browser);
  await page.goto(server.base);
  await page.waitForSelector('article img');
  await waitFor('a picture', () => page.$eval('article img', img => img.naturalWidth === 1280));
  const first = await look(page, 'article img');
  await waitFor('it to move', async () => (await look(page, 'article img')).sum !== first.sum);
  // the wall is brown: red over green over blue, and neither black nor green
  assert.ok(first.mean[0] > first.mean[1] && first.mean[1] > first.mean[2] && first.mean[0] > 80, String(first.mean));
  await waitFor('the state', async () => /^live · 1 viewer$/.test(await page.textContent('.state')));
  await page.fill('[name=name]', 'ball');
  await page.fill('[name=src]', 'test:ball');
  await page.click('form button');
  await waitFor('the second card', async () => (await page.$$('article')).length === 2);
  await keep(page, 'page-desktop');
  await page.fill('[name=name]', 'wrong');
  await page.fill('[name=src]', 'what://ever');
  await page.click('form button');
  await waitFor('the sentence', async () => /source not supported/.test(await page.textContent('#sentence')));
  page.on('dialog', dialog => dialog.accept());
  await page.click('article:nth-of-type(1) .remove'); // cards are sorted by name within an answer
  await waitFor('one card', async () => (await page.$$('article')).length === 1);
  assert.deepEqual(problems.filter(text => !/400|Failed to load resource/.test(text)), []);
});

test('the page fits a phone, and says what to do when there is nothing', async t => {
  const browser = await openBrowser(t);
  if (!browser)
    return;
  const server = await startSpotter(t);
  const {page, problems} = await openPage(t, browser, {width: 390, height: 800});
  await page.goto(server.base);
  await page.waitForSelector('#none:not([hidden])');
  const overflow = await page.evaluate(() => document.documentElement.scrollWidth > innerWidth);
  assert.ok(!overflow);
  await keep(page, 'page-phone-empty');
  assert.deepEqual(problems, []);
});

test('<video autoplay> plays the MP4 of a camera from another origin, and goes on over its restart', async t => {
  const browser = await openBrowser(t);
  if (!browser)
    return;
  const camera = await startCamera(t);
  const server = await startSpotter(t, {streams: {cam: camera.url}});
  // another port is another origin, like the application's page
  const other = createServer((request, response) => {
    response.setHeader('Content-Type', 'text/html');
    response.end(`<video autoplay muted playsinline src="${server.base}/stream.mp4?src=cam"></video>`);
  }).listen(0, '127.0.0.1');
  t.after(() => other.close());
  await new Promise(resolve => other.once('listening', resolve));
  const {page} = await openPage(t, browser);
  await page.goto(`http://127.0.0.1:${other.address().port}/`);
  const time = () => page.$eval('video', video => video.currentTime);
  await waitFor('two seconds of film', async () => await time() > 2);
  assert.equal(await page.$eval('video', video => video.videoWidth), 640);
  const frames = () => page.$eval('video', video => video.getVideoPlaybackQuality().totalVideoFrames);
  assert.ok(await frames() > 30);
  await camera.kill();
  await waitFor('the loss to be seen', async () => await server.state('cam') !== 'live');
  const before = await frames();
  await startCamera(t, ['--port', camera.port]);
  await waitFor('the picture to go on in the same session', async () => await frames() > before + 30);
  await keep(page, 'video');
});

test('MSE takes the fragments as they are', async t => {
  const browser = await openBrowser(t);
  if (!browser)
    return;
  const server = await startSpotter(t, {streams: {bars: 'test:smpte'}});
  const {page} = await openPage(t, browser);
  await page.goto(`${server.base}/api`); // same origin, and nothing else on it
  const result = await page.evaluate(async () => {
    const video = document.body.appendChild(document.createElement('video'));
    video.muted = true;
    const source = new MediaSource();
    video.src = URL.createObjectURL(source);
    await new Promise(resolve => source.addEventListener('sourceopen', resolve, {once: true}));
    const buffer = source.addSourceBuffer('video/mp4; codecs="avc1.64001F,mp4a.40.2"');
    const reader = (await fetch('/stream.mp4?src=bars&duration=4')).body.getReader();
    for (;;) {
      const {value, done} = await reader.read();
      if (done)
        break;
      buffer.appendBuffer(value);
      await new Promise((resolve, reject) => {
        buffer.addEventListener('updateend', resolve, {once: true});
        buffer.addEventListener('error', () => reject(video.error ?? 'append failed'), {once: true});
      });
      if (video.paused)
        video.play();
    }
    source.endOfStream();
    await new Promise(resolve => video.addEventListener('ended', resolve, {once: true}));
    return {time: video.currentTime, frames: video.getVideoPlaybackQuality().totalVideoFrames,
      ranges: video.buffered.length};
  }).catch(error => ({error: String(error)}));
  assert.equal(result.error, undefined);
  assert.ok(result.time > 3.5 && result.frames > 80, JSON.stringify(result));
  assert.equal(result.ranges, 1, 'the fragments leave gaps');
  await page.goto('about:blank');
});

test('the player: MSE at the live edge, MJPEG when asked or when MSE cannot, back after a restart of server and source', async t => {
  const browser = await openBrowser(t);
  if (!browser)
    return;
  const camera = await startCamera(t, ['--gop', '4']);
  const server = await startSpotter(t, {streams: {camera: 'test:climber', cam: camera.url}});
  const {page, problems} = await openPage(t, browser);
  const state = () => page.$eval('video-stream', ({dataset, video, img}) => ({...dataset, time: video.currentTime,
    behind: video.buffered.length ? video.buffered.end(video.buffered.length - 1) - video.currentTime : NaN,
    frames: video.getVideoPlaybackQuality().totalVideoFrames, width: video.videoWidth, picture: img.naturalWidth}));
  const playing = async () => { const {frames} = await state(); await waitFor('frames', async () => (await state()).frames > frames + 30); };

  await page.goto(`${server.base}/stream.html?src=camera&mode=mse`);
  await waitFor('MSE', async () => (await state()).mode === 'mse');
  await playing();
  const live = await state();
  assert.equal(live.width, 1280);
  assert.ok(live.behind < 1.5, `${live.behind} s behind`);
  t.diagnostic(`figure: the player is ${(live.behind * 1000).toFixed(0)} ms behind what it has`);
  const first = await look(page, 'video-stream video');
  assert.ok(first.mean[0] > first.mean[1] && first.mean[1] > first.mean[2] && first.mean[0] > 80, String(first.mean));
  await waitFor('it to move', async () => (await look(page, 'video-stream video')).sum !== first.sum);
  await keep(page, 'player-mse');

  // a GOP of four seconds, joined in its middle: still at the edge
  await page.goto(`${server.base}/stream.html?src=cam&mode=mse`);
  await waitFor('MSE', async () => (await state()).mode === 'mse');
  await playing();
  assert.ok((await state()).behind < 1.5);
  await camera.kill();
  await waitFor('the failure', async () => await server.state('cam') === 'failed');
  await startCamera(t, ['--gop', '4', '--port', camera.port]);
  await playing();

  await page.goto(`${server.base}/stream.html?src=camera&mode=mjpeg`);
  await waitFor('MJPEG', async () => (await state()).picture === 1280);
  const {sum} = await look(page, 'video-stream img');
  await waitFor('it to move', async () => (await look(page, 'video-stream img')).sum !== sum);

  // a browser without Media Source Extensions
  await page.addInitScript(() => { delete window.MediaSource; delete window.ManagedMediaSource; });
  await page.goto(`${server.base}/stream.html?src=camera`);
  await waitFor('MJPEG instead', async () => (await state()).mode === 'mjpeg');
  assert.match((await state()).why, /^mse: this browser has no/);
  assert.deepEqual(problems, []);

  const {port} = server;
  await server.stop();
  await waitFor('the player to see it', async () => (await state()).mode === '');
  const again = await startSpotter(t, {streams: {camera: 'test:climber'}, options: {'api.listen': `127.0.0.1:${port}`}});
  await waitFor('the player to come back', async () => (await state()).mode === 'mjpeg' && (await state()).picture === 1280);
  assert.equal((await again.json('/api/streams?src=camera')).consumers.length, 1);
});
