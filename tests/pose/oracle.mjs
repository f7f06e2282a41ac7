// SPDX-License-Identifier: LGPL-2.1-or-later
// What MediaPipe's own build says of pictures: a line of JSON each, as in gold_complexity*.jsonl.
//
//   ./dev oracle 0|1|2 PICTURE.png…        lite, full, heavy
//
// It runs in headless Chromium, on the CPU (its GPU path differs by up to 0.17), on still pictures,
// without smoothing. PNG only: decoders of JPEG differ.

import {createServer} from 'node:http';
import {createReadStream, existsSync} from 'node:fs';
import {basename, join, resolve} from 'node:path';
import {chromium} from 'playwright-core';

const [folder, complexity, ...pictures] = process.argv.slice(2);
if (!pictures.length || !/^[012]$/.test(complexity)) {
  console.error('usage: ./dev oracle 0|1|2 PICTURE.png…');
  process.exit(64);
}

const TYPES = {'.js': 'text/javascript', '.wasm': 'application/wasm', '.html': 'text/html', '.png': 'image/png'};
const server = createServer((request, response) => {
  const {pathname} = new URL(request.url, 'http://localhost');
  const [, where, name] = /^\/(package|picture)\/([\w.-]+)$/.exec(pathname) ?? [];
  const file = where === 'package' ? join(folder, name) : pictures.map(picture => resolve(picture)).find(picture => basename(picture) === name);
  if (pathname === '/') {
    response.setHeader('Content-Type', 'text/html');
    response.end('<!doctype html><script src="/package/pose.js"></script>');
  } else if (!file || !existsSync(file)) {
    response.writeHead(404).end();
  } else {
    response.setHeader('Content-Type', TYPES[/\.\w+$/.exec(name)?.[0]] ?? 'application/octet-stream');
    createReadStream(file).pipe(response);
  }
});
await new Promise(done => server.listen(0, '127.0.0.1', done));

const browser = await chromium.launch({executablePath: '/usr/bin/chromium', args: ['--no-sandbox', '--disable-gpu', '--use-gl=swiftshader', '--enable-unsafe-swiftshader']});
const page = await browser.newPage();
page.on('pageerror', error => console.error(String(error)));
await page.goto(`http://127.0.0.1:${server.address().port}/`);
for (const picture of pictures) {
  // A new one for each: what was seen before must not matter.
  const result = await page.evaluate(async ([name, modelComplexity]) => {
    const pose = new globalThis.Pose({locateFile: file => `/package/${file}`});
    pose.setOptions({modelComplexity, smoothLandmarks: false, enableSegmentation: false, staticImageMode: true,
      useCpuInference: true, minDetectionConfidence: 0.5, minTrackingConfidence: 0.5});
    let found = {};
    pose.onResults(results => { found = {lm: results.poseLandmarks, world: results.poseWorldLandmarks}; });
    const image = new Image();
    image.src = `/picture/${name}`;
    await image.decode();
    await pose.send({image});
    await pose.close();
    return found;
  }, [basename(picture), Number(complexity)]);
  console.log(JSON.stringify({f: basename(picture), mc: Number(complexity), cpu: true, ...result}));
}
await browser.close();
server.close();
