// SPDX-License-Identifier: LGPL-2.1-or-later
// The management API: what ProjectClimb and go2rtc's clients ask for, and what strangers get.

import {test} from 'node:test';
import assert from 'node:assert/strict';
import {existsSync, readFileSync, symlinkSync, writeFileSync} from 'node:fs';
import {request} from 'node:http';
import {hostname} from 'node:os';
import {join, resolve} from 'node:path';
import {SPOTTER, rawSocket, run, start, startSpotter, temporaryDirectory, view, waitFor} from '../lib/lib.mjs';

/** fetch() does not let one set Host and Origin. */
const ask = (server, method, path, headers = {}, body) => new Promise((done, failed) => {
  const req = request(server.base + path, {method, headers, agent: false}, response => {
    let text = '';
    response.on('data', chunk => { text += chunk; });
    response.on('end', () => done({status: response.statusCode, headers: response.headers, text}));
  });
  req.on('error', failed);
  req.end(body);
});

test('ProjectClimb: info, adding its camera, listing, HEAD', async t => {
  const server = await startSpotter(t);
  const info = await ask(server, 'GET', '/api/info', {Origin: 'http://app.example'});
  assert.equal(info.status, 200);
  assert.equal(info.headers['access-control-allow-origin'], '*');
  assert.deepEqual(JSON.parse(info.text), await server.json('/api').then(api => ({...api})));
  const src = 'ffmpeg:0?input_format=mjpeg&video_size=1280x720&framerate=30';
  const added = await server.add('camera', src);
  assert.equal(added.status, 200);
  assert.equal((await added.json()).src, src);
  const {camera} = await server.json('/api/streams');
  assert.equal(camera.src, src);
  assert.ok(camera.producers.every(producer => typeof producer.url === 'string'));
  assert.deepEqual(camera.consumers, []);
  assert.equal(camera.state, 'idle'); // the camera was not opened
  for (const [path, status] of [['/stream.mp4', 200], ['/stream.mp4?src=camera', 200], ['/stream.mp4?src=no', 404]]) {
    const head = await ask(server, 'HEAD', path);
    assert.equal(head.status, status);
    if (status === 200)
      assert.equal(head.headers['content-type'], 'video/mp4');
  }
  assert.equal(await server.state('camera'), 'idle');
});

test('a camera that is not there is said so, with those that are', async t => {
  const server = await startSpotter(t, {streams: {cam: '57'}});
  const response = await server.get('/stream.mp4?src=cam');
  assert.equal(response.status, 503);
  assert.match(await response.text(), /^camera 57 does not exist; this machine has: /);
  const {reason, state} = await server.json('/api/streams?src=cam');
  assert.match(reason, /camera 57/);
  assert.equal(state, 'failed');
  assert.equal((await server.get('/api/health')).status, 503);
});

test('PUT, PATCH, DELETE with lists of sources', async t => {
  const server = await startSpotter(t);
  const call = (method, query) => ask(server, method, `/api/streams?${query}`);
  assert.equal((await call('PUT', 'name=a&src=test:ball&src=test:smpte')).status, 200);
  assert.equal((await server.json('/api/streams?src=a')).producers.length, 2);
  assert.equal((await call('PATCH', 'name=a&src=test:snow')).status, 200);
  assert.equal((await server.json('/api/streams?src=a')).src, 'test:snow');
  assert.equal((await call('PATCH', 'name=b&src=test:snow')).status, 404);
  assert.equal((await call('DELETE', 'src=a')).status, 200);
  assert.equal((await call('DELETE', 'src=a')).status, 404);
  assert.deepEqual(await server.json('/api/streams'), {});
  assert.deepEqual(await server.json('/api/schemes'), ['ffmpeg', 'file', 'gst', 'rtsp', 'rtsps', 'test', 'v4l2']);
});

test('bad input gets one sentence and a status', async t => {
  const server = await startSpotter(t);
  const post = (body, type = 'application/json') =>
    ask(server, 'POST', '/api/streams', {'Content-Type': type}, body);
  const bodies = ['', 'null', '[]', '{', '{"name":"a"}', '{"src":"test:ball"}', '{"name":1,"src":"test:ball"}',
    '{"name":"a","src":7}', '{"name":"a","src":[]}', '{"name":"a","src":["test:ball",null]}', '{"name":"a","src":{}}',
    '{"name":"../x","src":"test:ball"}', '{"name":".x","src":"test:ball"}', '{"name":"","src":"test:ball"}',
    '{"name":"a","src":"nonsense"}', '{"name":"a","src":"exec:touch /tmp/owned"}',
    `{"name":"${'a'.repeat(65)}","src":"test:ball"}`, `{"name":"a","src":"${'x'.repeat(5000)}"}`,
    '{"name":"a\\u0000b","src":"test:ball"}', '['.repeat(100000), Buffer.from([0xff, 0xfe, 0x00])];
  for (const body of bodies) {
    const {status, text} = await post(body);
    assert.equal(status, 400, `${String(body).slice(0, 60)} → ${status} ${text}`);
    const {error, code} = JSON.parse(text);
    assert.ok(error.length > 10 && error.length < 400 && !error.includes('\n'));
    assert.equal(code, 'invalid');
  }
  assert.match((await post('{"name":"a","src":"gst:videotestsrc"}')).text, /source from insecure producer/);
  assert.match((await post('{"name":"a","src":"what:ever"}')).text, /source not supported/);
  assert.equal((await post('x=y', 'application/x-www-form-urlencoded')).status, 400);
  assert.equal((await post('x'.repeat((1 << 20) + 1))).status, 413);
  assert.equal((await ask(server, 'POST', '/api/streams?dst=a&src=b')).status, 501);
  assert.deepEqual(await server.json('/api/streams'), {});
  const missing = await ask(server, 'GET', '/nothing', {Accept: 'application/json'});
  assert.deepEqual([missing.status, JSON.parse(missing.text).code], [404, 'not_found']);
  const method = await ask(server, 'DELETE', '/api/info');
  assert.deepEqual([method.status, method.headers.allow], [405, 'GET, HEAD, OPTIONS']);
  assert.equal((await server.get('/stream.mp4')).status, 400);
  assert.equal((await server.get('/stream.mp4?src=none')).status, 404);
  assert.match(await (await server.get('/stream.mp4?src=rtsp://x/y')).text(), /add the URL as a stream first/);
});

test('Host and Origin: strangers\' pages change nothing and read no pixels', async t => {
  const server = await startSpotter(t, {streams: {ball: 'test:ball'}, options: {'api.origin': 'https://app.example'}});
  const status = async (method, path, headers) => (await ask(server, method, path, headers)).status;
  for (const host of ['127.0.0.1', 'localhost:99', '[::1]:1984', '192.0.2.7', hostname(), `${hostname()}.local`, 'app.example'])
    assert.equal(await status('GET', '/api', {Host: host}), 200, host);
  assert.equal(await status('GET', '/api', {Host: 'evil.example'}), 403);
  const double = rawSocket(t, server.port, 'GET /api HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\nConnection: close\r\n\r\n');
  await double.done;
  assert.match(double.text, /^HTTP\/1.1 400 /);
  const put = '/api/streams?name=x&src=test:ball';
  for (const [origin, expected] of [['http://evil.example', 403], ['null', 403], ['http://localhost.evil.example', 403],
    ['http://127.0.0.1:8000', 200], ['http://localhost', 200], ['https://app.example', 200]])
    assert.equal(await status('PUT', put, {Origin: origin}), expected, origin);
  const cors = async (path, origin) => (await ask(server, 'HEAD', path, {Origin: origin})).headers['access-control-allow-origin'];
  assert.equal(await cors('/api', 'http://evil.example'), '*');
  assert.equal(await cors('/api/health', 'http://evil.example'), '*');
  assert.equal(await cors('/api/streams', 'http://evil.example'), undefined);
  assert.equal(await cors('/stream.mjpeg?src=ball', 'http://evil.example'), undefined);
  assert.equal(await cors('/stream.mp4?src=ball', 'http://localhost:8000'), 'http://localhost:8000');
  const preflight = await ask(server, 'OPTIONS', '/api/streams', {Origin: 'http://localhost:8000',
    'Access-Control-Request-Method': 'POST', 'Access-Control-Request-Headers': 'content-type'});
  assert.equal(preflight.status, 204);
  assert.match(preflight.headers['access-control-allow-methods'], /POST/);
  assert.match(preflight.headers['access-control-allow-headers'], /Content-Type/);
});

test('a password is asked for, of loopback too when so configured', async t => {
  const options = {'api.username': 'me', 'api.password': 'sesame', 'api.local_auth': 'true'};
  const server = await startSpotter(t, {streams: {ball: 'test:ball'}, options});
  const basic = text => ({Authorization: `Basic ${Buffer.from(text).toString('base64')}`});
  for (const path of ['/', '/api', '/api/streams', '/stream.mp4?src=ball', '/api/frame.jpeg?src=ball', '/nothing']) {
    const refused = await ask(server, 'GET', path);
    assert.equal(refused.status, 401, path);
    assert.match(refused.headers['www-authenticate'], /^Basic /);
  }
  for (const wrong of ['me:sesam', 'me:sesamee', 'you:sesame', ':', '', 'me'])
    assert.equal((await ask(server, 'GET', '/api', basic(wrong))).status, 401, wrong);
  assert.equal((await ask(server, 'GET', '/api', basic('me:sesame'))).status, 200);
  const local = await startSpotter(t, {options: {...options, 'api.local_auth': 'false'}});
  assert.equal((await ask(local, 'GET', '/api')).status, 200);
});

test('no credential leaves: not in an answer, not in the log', async t => {
  const server = await startSpotter(t, {streams: {conf: 'rtsp://user:canary1@127.0.0.1:9/x'}});
  await server.add('cam', ['rtsp://user:canary2@127.0.0.1:9/x', 'rtsp://127.0.0.1:9/x?password=canary3']);
  const answers = [await server.add('bad', 'what://user:canary4@x')];
  for (const path of ['/stream.mp4?src=cam', '/stream.mp4?src=conf', '/api/frame.jpeg?src=cam', '/api/streams', '/api/health',
    '/api/streams?src=cam', '/api/streams/cam/stats', '/api/streams/cam/graph'])
    answers.push(await server.get(path));
  assert.equal(answers[1].status, 503);
  const texts = await Promise.all(answers.map(answer => answer.text()));
  assert.doesNotMatch([...texts, ...server.lines].join('\n'), /canary/);
  assert.match(texts.join('\n'), /rtsp:\/\/\*\*\*@127/);
});

test('what the API adds survives SIGKILL right after the answer; a hundred at once lose nothing', async t => {
  const directory = temporaryDirectory(t);
  const server = await startSpotter(t, {directory, streams: {conf: 'test:ball'}});
  const names = Array.from({length: 100}, (_, i) => `cam${i}`);
  const answers = await Promise.all(names.map(name => ask(server, 'PUT', `/api/streams?name=${name}&src=test:snow`)));
  assert.ok(answers.every(answer => answer.status === 200));
  assert.equal((await ask(server, 'DELETE', '/api/streams?src=conf')).status, 200);
  assert.equal((await ask(server, 'PUT', '/api/streams?name=last&src=test:ball')).status, 200);
  server.child.kill('SIGKILL');
  await server.exited;
  const again = await startSpotter(t, {directory, streams: {conf: 'test:ball'}});
  assert.deepEqual(Object.keys(await again.json('/api/streams')).sort(), [...names, 'last'].sort());
});

test('a change that cannot be written is refused and taken back', async t => {
  const server = await startSpotter(t, {streams: {ball: 'test:ball'}, options: {'app.state': '/proc/nowhere/streams.yaml'}});
  const added = await server.add('cam', 'test:snow');
  assert.equal(added.status, 500);
  assert.match((await added.json()).error, /was not kept/);
  assert.equal((await ask(server, 'DELETE', '/api/streams?src=ball')).status, 500);
  assert.deepEqual(Object.keys(await server.json('/api/streams')), ['ball']);
});

test('removing a stream ends its viewers; equal sources restart nothing', async t => {
  const server = await startSpotter(t, {streams: {ball: 'test:ball'}});
  const viewer = view(t, `${server.base}/stream.mjpeg?src=ball`);
  await waitFor('pictures', () => viewer.bytes > 10000);
  const {since} = await server.json('/api/streams?src=ball');
  await ask(server, 'PUT', '/api/streams?name=ball&src=test:ball');
  assert.equal((await server.json('/api/streams?src=ball')).since, since);
  await ask(server, 'DELETE', '/api/streams?src=ball');
  await viewer.done;
});

test('the answers are what openapi.yaml says, and it knows every path', async t => {
  const server = await startSpotter(t, {config: 'streams: {ball: "test:ball"}'});
  const text = await (await server.get('/openapi.yaml')).text();
  assert.equal(text, readFileSync(resolve('data/openapi.yaml'), 'utf8'));
  const paths = [...text.matchAll(/^ {2}(\/\S+):/gm)].map(match => match[1]);
  assert.ok(paths.length >= 17);
  for (const path of paths) {
    const filled = path.replace('{name}', 'ball');
    const query = /stream\.|frame\.|hls\/|api\/pose/.test(path) ? '?src=ball' : '';
    const {headers} = await ask(server, 'OPTIONS', filled);
    const block = text.slice(text.indexOf(`\n  ${path}:`) + 1).split(/\n {2}\//)[0];
    const alias = / \*\w+$/m.test(block.split('\n')[0]); // of a path above it
    const described = [...block.matchAll(/^ {4}(get|post|put|patch|delete):/gm)].map(match => match[1].toUpperCase());
    if (alias || described.includes('GET'))
      assert.equal((await ask(server, 'HEAD', filled + query)).status, 200, path);
    if (alias)
      continue;
    const allowed = headers.allow.split(', ').filter(method => !['OPTIONS', 'HEAD'].includes(method));
    assert.deepEqual(described.sort(), allowed.sort(), path);
  }
  const stream = await server.json('/api/streams?src=ball');
  const required = /Stream:\n {6}type: object\n {6}required: \[(.*)\]/.exec(text)[1].split(', ');
  assert.ok(required.every(key => key in stream));
});

test('slow heads and bodies are cut, idle connections closed, crowds refused', async t => {
  const server = await startSpotter(t, {options: {'api.timeout': '500ms', 'api.max_connections': '20'}});
  const silent = rawSocket(t, server.port, '');
  const half = rawSocket(t, server.port, 'GET /api HTTP/1.1\r\nHost: localho');
  const body = rawSocket(t, server.port, 'POST /api/streams HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{');
  const idle = rawSocket(t, server.port, 'GET /api HTTP/1.1\r\nHost: localhost\r\n\r\n');
  await Promise.all([silent.done, half.done, body.done, idle.done]);
  assert.match(idle.text, /^HTTP\/1.1 200 /);
  const crowd = Array.from({length: 40}, () => rawSocket(t, server.port, ''));
  await waitFor('half of the crowd to be refused', () => crowd.filter(one => one.closed).length >= 20);
  await Promise.all(crowd.map(one => one.done));
  assert.equal((await server.get('/api')).status, 200);
});

test('requests in quick succession are all answered', async t => {
  // Clients that keep connections alive lost one in fifty when answers did not say that they are closed.
  const server = await startSpotter(t);
  for (let i = 0; i < 300; i++) {
    assert.equal((await server.add('a', 'test:ball')).status, 200);
    await new Promise(resolve => setTimeout(resolve, i % 5));
  }
});

test('the command line: add, list, show, snapshot, graph, remove, exit codes', async t => {
  const server = await startSpotter(t);
  const env = {...process.env, SPOTTER_URL: server.base};
  const spotter = (...args) => run(SPOTTER, args, {env, cwd: server.home});
  assert.equal((await spotter('add', 'ball', 'test:ball')).code, 0);
  assert.match((await spotter('list')).stdout, /^ball +idle +0 viewers +test:ball$/m);
  assert.deepEqual(Object.keys(JSON.parse((await spotter('list', '--json')).stdout)), ['ball']);
  assert.match((await spotter('show', 'ball')).stdout, /stream\.mp4\?src=ball/);
  assert.equal((await spotter('snapshot', 'ball', '-o', 'out.jpg')).code, 0);
  assert.deepEqual([...readFileSync(join(server.home, 'out.jpg')).subarray(0, 2)], [0xff, 0xd8]);
  assert.match((await spotter('graph', 'ball')).stdout, /^digraph/);
  assert.equal((await spotter('add', '--camera', '1', '--stream-name', 'camera1')).code, 0);
  assert.equal((await server.json('/api/streams?src=camera1')).src, '1');
  assert.equal((await spotter('remove', 'ball')).code, 0);
  const bad = await spotter('add', 'x', 'nonsense');
  assert.deepEqual([bad.code, bad.stderr.startsWith('spotter: source not supported')], [65, true]);
  assert.equal((await spotter('show', 'none')).code, 66);
  assert.equal((await spotter('list', '--url', 'http://127.0.0.1:9')).code, 69);
  assert.equal((await spotter('list', '--nonsense')).code, 64);
  assert.equal((await spotter('nonsense')).code, 64);
  assert.match((await spotter('--version')).stdout, /^spotter \d/);
  for (const verb of ['--help', 'add --help', 'launch --help'])
    assert.equal((await spotter(...verb.split(' '))).code, 0, verb);
});

test('under the name go2rtc it takes go2rtc\'s options and file', async t => {
  const directory = temporaryDirectory(t);
  const link = join(directory, 'go2rtc');
  symlinkSync(resolve(SPOTTER), link);
  writeFileSync(join(directory, 'go2rtc.yml'), 'log: {level: info, out: stdout}\napi: {listen: ":1984"}\n' +
    'rtsp: {listen: ":8554"}\nwebrtc: {ice_servers: [{urls: [stun:stun.example:3478]}]}\nhomekit: {}\n' +
    'streams: {camera: ["ffmpeg:video=/dev/video0", "ffmpeg:/dev/video0"]}\n');
  const server = start(t, link, ['-listen', '127.0.0.1:0'], {cwd: directory,
    env: {...process.env, HOME: directory, XDG_STATE_HOME: directory, XDG_CONFIG_HOME: directory}});
  const [, port] = await server.line(/INF \[api\] listen addr=127.0.0.1:(\d+)/);
  const streams = await (await fetch(`http://127.0.0.1:${port}/api/streams`)).json();
  assert.equal(streams.camera.producers.length, 2);
  await server.line(/go2rtc.yml:5: 'homekit'/);
});

test('a wrong configuration stops the start with file, line and expectation', async t => {
  const directory = temporaryDirectory(t);
  const file = join(directory, 'bad.yaml');
  writeFileSync(file, 'api:\n  listen: 127.0.0.1:0\n  max_connections: lots\n');
  const {code, stderr} = await run(SPOTTER, ['-c', file], {cwd: directory});
  assert.equal(code, 78);
  assert.match(stderr, /bad\.yaml:3: 'api\.max_connections' expects a whole number, not 'lots'/);
  writeFileSync(file, 'streams:\n  cam: what:ever\n');
  assert.match((await run(SPOTTER, ['-c', file], {cwd: directory})).stderr, /the stream cam in the configuration: source not supported/);
  assert.match((await run(SPOTTER, ['-c', 'api.listen=999.1.1.1:1'], {cwd: directory})).stderr, /cannot listen on 999/);
  assert.ok(!existsSync(join(directory, 'streams.yaml')));
});
