// SPDX-License-Identifier: LGPL-2.1-or-later
// The page and the media doors in headless Chromium: pictures that move, not only events.

import {test} from 'node:test';
import assert from 'node:assert/strict';
import {createServer} from 'node:http';
import {keep, look, openBrowser, openPage} from '../lib/browser.mjs';
import {startCamera, startSpotter, waitFor} from '../lib/lib.mjs';

test('the page shows the climber moving, adds and removes streams, tells why a source fails', async t => {
  const browser = await openBrowser(t);
  if (!browser)
    return;
  const server = await startSpotter(t, {streams: {camera: 'test:climber'}});
  const {page, problems} = await openPage(t, browser);
  await page.goto(server.base);
  await page.waitForSelector('article img');
  await waitFor('a picture', () => page.$eval('article img', img => img.naturalWidth === 640));
  const first = await look(page, 'article img');
  await waitFor('it to move', async () => (await look(page, 'article img')).sum !== first.sum);
  // the wall is brown: red over green over blue, and neither black nor green
  assert.ok(first.mean[0] > first.mean[1] && first.mean[1] > first.mean[2] && first.mean[0] > 80, String(first.mean));
  await waitFor('the state', async () => /^live · RAWVIDEO 1280×720 · \d viewers?$/.test(await page.textContent('.state')));
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
