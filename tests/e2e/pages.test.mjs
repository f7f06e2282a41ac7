// SPDX-License-Identifier: LGPL-2.1-or-later
// The viewer's pages as people use them.

import {test} from 'node:test';
import assert from 'node:assert/strict';
import {isWall, keep, look, openBrowser, openPage, player} from '../lib/browser.mjs';
import {startSpotter, waitFor} from '../lib/lib.mjs';

const VIDEO = 'video-stream video:not(.waiting)';

test('the page of a stream: player and its modes, figures, addresses, the pipeline drawn', async t => {
  const browser = await openBrowser(t);
  if (!browser)
    return;
  const server = await startSpotter(t, {streams: {camera: 'test:climber'}});
  const {page, problems} = await openPage(t, browser, {width: 1280, height: 1400});
  await page.goto(server.base);
  await page.click('article .picture');
  await page.waitForURL(/watch\.html\?src=camera$/);
  await waitFor('WebRTC', async () => (await player(page)).mode === 'webrtc');
  await waitFor('the wall', async () => isWall(await look(page, VIDEO)));
  await waitFor('figures', async () => /1280×720 · \d+ fps · \d+ kbit\/s · \d+ ms buffered · .*dropped/.test(await page.textContent('#figures')));
  const links = await page.$$eval('#links li', items => items.map(item => item.textContent));
  for (const [label, part] of [['RTSP', 'rtsp://127.0.0.1'], ['MP4', 'stream.mp4?src=camera'], ['HLS', 'stream.m3u8'], ['WHEP', 'whep/camera'], ['In a page', '<video-stream src="ws://']])
    assert.ok(links.some(text => text.startsWith(label) && text.includes(part)), `${label}: ${links}`);
  await waitFor('the graph', async () => /test:climber.*x264enc.*webrtc.*per second/s.test(await page.textContent('#graph svg')));
  await keep(page, 'watch');
  assert.ok(!await page.evaluate(() => document.documentElement.scrollWidth > innerWidth), 'it is too wide');
  for (const mode of ['mse', 'mjpeg', 'webrtc']) {
    await page.check(`input[value=${mode}]`);
    await waitFor(mode, async () => (await player(page)).mode === mode);
  }
  assert.deepEqual(problems, []);
});

test('/camera/: picture, status, another stream, another address, a wrong one', async t => {
  const browser = await openBrowser(t);
  if (!browser)
    return;
  const server = await startSpotter(t, {streams: {camera: 'test:climber', bars: 'test:smpte'}});
  const {page} = await openPage(t, browser, {width: 390, height: 800});
  await page.goto(`${server.base}/camera/`);
  await waitFor('the wall', async () => isWall(await look(page, VIDEO)));
  assert.equal(await page.textContent('#connection'), 'connected');
  await waitFor('the state', async () => /^live · /.test(await page.textContent('#state')));
  await keep(page, 'camera-phone');
  await page.selectOption('select', 'bars');
  await waitFor('the bars', async () => !isWall(await look(page, VIDEO)));
  await page.fill('[name=src]', 'nothing://x');
  await page.click('form button');
  await waitFor('the sentence', async () => /not supported/.test(await page.textContent('#sentence')));
  await page.fill('[name=src]', 'test:ball');
  await page.click('form button');
  await waitFor('the other one', async () => (await page.inputValue('select')) === 'other');
  const overflow = await page.evaluate(() => document.documentElement.scrollWidth > innerWidth);
  assert.ok(!overflow);
});

test('the log page shows what the server says, and forgets it', async t => {
  const browser = await openBrowser(t);
  if (!browser)
    return;
  const server = await startSpotter(t, {streams: {camera: 'rtsp://user:secret@127.0.0.1:9/x'}});
  const {page, problems} = await openPage(t, browser);
  await server.get('/api/frame.jpeg?src=camera');
  const lines = (await (await server.get('/api/log')).text()).trim().split('\n').map(line => JSON.parse(line));
  assert.ok(lines.every(({level, time, message}) => level && time > 1.7e12 && message.startsWith('[')));
  assert.doesNotMatch(JSON.stringify(lines), /secret/);
  await page.goto(`${server.base}/log.html`);
  await waitFor('lines', async () => /\[api\]|\[http\]|\[stream\]/.test(await page.textContent('tbody')));
  await keep(page, 'log');
  await page.click('#clear');
  await waitFor('them to be gone', async () => (await page.$$('tbody tr')).length < lines.length);
  assert.deepEqual(problems, []);
});

test('twelve streams: pictures now and then, no connection each; pages of other names', async t => {
  const browser = await openBrowser(t);
  if (!browser)
    return;
  const streams = Object.fromEntries(Array.from({length: 12}, (_, i) => [`cam${i}`, 'test:ball']));
  const server = await startSpotter(t, {streams});
  const {page} = await openPage(t, browser, {width: 1280, height: 720});
  const asked = [];
  page.on('request', request => asked.push(request.url()));
  await page.goto(server.base);
  await waitFor('twelve cards', async () => (await page.$$('article')).length === 12);
  await waitFor('pictures of those that are seen', () => page.$$eval('article img', imgs => imgs.slice(0, 4).every(img => img.naturalWidth > 0)));
  const first = asked.filter(url => url.includes('frame.jpeg')).length;
  await waitFor('the next ones', () => asked.filter(url => url.includes('frame.jpeg')).length > first);
  assert.ok(asked.every(url => url.startsWith(server.base)), 'only this server is asked');
  assert.ok(!asked.some(url => /stream\.|api\/ws/.test(url)), 'no stream is opened');
  const seen = new Set(asked.filter(url => url.includes('frame.jpeg')).map(url => new URL(url).searchParams.get('src')));
  assert.ok(seen.size < 12, 'what is not seen is not asked for');
  await keep(page, 'page-twelve');
  for (const [name, mode] of [['webrtc', 'webrtc'], ['hls', 'hls']]) {
    await page.goto(`${server.base}/${name}.html?src=cam0`);
    await waitFor(mode, async () => (await player(page)).mode === mode);
  }
  await page.goto(`${server.base}/links.html?src=cam0`);
  await waitFor('links', async () => (await page.$$('#links li')).length > 5);
});
