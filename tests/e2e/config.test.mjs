// SPDX-License-Identifier: LGPL-2.1-or-later
// The configuration file while the server runs: /api/config, SIGHUP, edits by others, the page; and the cameras.

import {test} from 'node:test';
import assert from 'node:assert/strict';
import {chmodSync, lstatSync, readFileSync, statSync, symlinkSync, writeFileSync} from 'node:fs';
import {join} from 'node:path';
import {keep, openBrowser, openPage} from '../lib/browser.mjs';
import {startSpotter, temporaryDirectory, view, waitFor} from '../lib/lib.mjs';

const CONFIG = `# cameras of the gym
streams:
  wall: test:ball # the big one
  door: rtsp://user:geheim@127.0.0.1:9/door
`;

const post = (server, text, query = '') => fetch(`${server.base}/api/config${query}`, {method: 'POST', body: text});
const names = async server => Object.keys(await server.json('/api/streams')).sort();

test('masked when read, the same when written back, streams follow, viewers of others stay', async t => {
  const server = await startSpotter(t, {config: CONFIG});
  chmodSync(server.configPath, 0o640);
  const response = await server.get('/api/config');
  assert.equal(response.headers.get('content-type'), 'application/yaml');
  const masked = await response.text();
  assert.equal(masked, CONFIG.replace('user:geheim', '***'));
  assert.equal((await server.json('/api')).config_path, server.configPath);
  const viewer = view(t, `${server.base}/stream.ts?src=wall`);
  await waitFor('media', () => viewer.bytes > 10000);

  const answer = await post(server, masked);
  assert.deepEqual([answer.status, await answer.json()], [200, {warnings: [], restart: []}]);
  assert.equal(readFileSync(server.configPath, 'utf8'), CONFIG);
  assert.equal(statSync(server.configPath).mode & 0o777, 0o640);

  const changed = masked.replace('/door', '/other') + '  roof: test:smpte\nstream: {linger: 20s}\nunknown: 1\n';
  const second = await (await post(server, changed)).json();
  assert.deepEqual(second.restart, ['stream.linger']);
  assert.match(second.warnings.join(), /spotter\.yaml:7: 'unknown' is not known/);
  assert.deepEqual(await names(server), ['door', 'roof', 'wall']);
  assert.match(readFileSync(server.configPath, 'utf8'), /rtsp:\/\/user:geheim@127\.0\.0\.1:9\/other/);
  assert.equal((await server.json('/api/streams')).door.src, 'rtsp://***@127.0.0.1:9/other');
  assert.equal((await post(server, 'streams: {wall: "test:ball"}')).status, 200);
  assert.deepEqual(await names(server), ['wall']);
  const before = viewer.bytes;
  await waitFor('more media', () => viewer.bytes > before + 10000);
  assert.ok(!viewer.closed);
});

test('what is wrong is not written: sentence, line, status; a check writes nothing', async t => {
  const server = await startSpotter(t, {config: CONFIG});
  for (const [text, status, sentence] of [
    ['streams: [', 400, /line \d+: /],
    ['streams: {a: "nope://x"}', 400, /the stream a: source not supported/],
    ['streams: {"bad name": "test:ball"}', 400, /the stream 'bad name': its name/],
    ['stream: {linger: soon}', 400, /spotter\.yaml:1: 'stream\.linger' expects a time/],
    ['streams: {a: "rtsp://***@new/x"}', 400, /line 1: \*\*\* stands/],
    ['streams: {a: "gst:fakesrc"}', 400, /insecure producer/],
    [Buffer.from([0x61, 0xff]), 400, /UTF-8/],
    ['log: {level: loud}\nstreams: {}', 400, /log\.level is 'loud'/],
  ]) {
    const answer = await post(server, text);
    assert.equal(answer.status, status, String(text));
    assert.match(await answer.text(), sentence);
  }
  assert.equal((await post(server, 'streams: {}', '?check=1')).status, 200);
  assert.equal(readFileSync(server.configPath, 'utf8'), CONFIG);
  assert.deepEqual(await names(server), ['door', 'wall']);
  const without = await startSpotter(t);
  assert.equal((await without.get('/api/config')).status, 404);
  assert.match(await (await post(without, 'a: 1')).text(), /start it with -c FILE/);
});

test('a file that another editor has saved is read again, a wrong one is not; SIGHUP', async t => {
  const server = await startSpotter(t, {config: CONFIG});
  await server.add('api', 'test:ball');
  writeFileSync(server.configPath, 'streams: {one: "test:ball", two: "test:ball"}');
  await waitFor('the new streams', async () => (await names(server)).join() === 'api,one,two');
  writeFileSync(server.configPath, 'streams: {three: "nope://"}');
  await server.line(/ERR \[config\] the configuration is not taken over: .*nope/);
  assert.deepEqual(await names(server), ['api', 'one', 'two']);
  writeFileSync(server.configPath, 'streams: {one: "test:ball"}');
  server.child.kill('SIGHUP');
  await waitFor('one to be left', async () => (await names(server)).join() === 'api,one');
});

test('a link stays a link', async t => {
  const home = temporaryDirectory(t);
  const target = join(home, 'target.yaml'), link = join(home, 'spotter.yaml');
  writeFileSync(target, CONFIG);
  symlinkSync(target, link);
  const server = await startSpotter(t, {directory: home, configPath: link});
  assert.equal((await post(server, 'streams: {}')).status, 200);
  assert.ok(lstatSync(link).isSymbolicLink());
  assert.equal(readFileSync(target, 'utf8'), 'streams: {}');
});

test('the page: checks while one writes, shows the line, saves, keeps passwords', async t => {
  const browser = await openBrowser(t);
  if (!browser)
    return;
  const server = await startSpotter(t, {config: CONFIG});
  const {page, problems} = await openPage(t, browser);
  await page.goto(server.base);
  await page.click('nav a:text("Configuration")');
  await waitFor('the file', async () => (await page.inputValue('textarea')).includes('rtsp://***@'));
  const text = await page.inputValue('textarea');
  assert.ok(await page.isDisabled('form button'));
  await page.fill('textarea', `${text}  roof: nope://x\n`);
  await waitFor('the sentence', async () => /the stream roof: source not supported/.test(await page.textContent('#sentence')));
  assert.ok(await page.isDisabled('form button'));
  await keep(page, 'config-wrong');
  await page.fill('textarea', `${text}  roof: test:smpte\n`);
  await waitFor('it to be right', () => page.isEnabled('form button'));
  await page.keyboard.press('Control+s');
  await waitFor('it to be saved', async () => /^Saved/.test(await page.textContent('#sentence')));
  assert.match(readFileSync(server.configPath, 'utf8'), /user:geheim.*\n {2}roof: test:smpte/);
  assert.deepEqual(await names(server), ['door', 'roof', 'wall']);
  await keep(page, 'config');
  assert.deepEqual(problems.filter(problem => !/status of (400|503)/.test(problem)), []); // the check's, and the door's that is not there
});

test('cameras: none here; one that is found is offered with its modes', async t => {
  const server = await startSpotter(t);
  const {cameras} = await server.json('/api/devices');
  assert.ok(Array.isArray(cameras));
  if (!cameras.length)
    assert.equal(await (await server.get('/api/v4l2')).text().then(text => text.trim()), 'no sources');
  const browser = await openBrowser(t);
  if (!browser)
    return;
  const {page} = await openPage(t, browser);
  const source = 'v4l2:device?video=/dev/video9&input_format=mjpeg&video_size=1280x720';
  await page.route('**/api/devices', route => route.fulfill({json: {cameras: [{name: 'Wall cam', path: '/dev/video9', stream: null,
    modes: [{format: 'mjpeg', width: 1280, height: 720, fps: 30, source}]}]}}));
  await page.goto(server.base);
  await waitFor('it to be offered', () => page.isVisible('#cameras'));
  await page.fill('[name=name]', 'wall');
  await page.selectOption('[name=camera]', {label: 'mjpeg · 1280×720 · 30 fps'});
  await keep(page, 'page-cameras');
  await page.click('#add button');
  await waitFor('the stream', async () => (await names(server)).includes('wall'));
  assert.equal((await server.json('/api/streams')).wall.src, source);
});
