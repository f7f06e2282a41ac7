// SPDX-License-Identifier: LGPL-2.1-or-later
// What end-to-end tests share: a server, cameras and clients of their own, each in private directories.

import {execFile, spawn} from 'node:child_process';
import {mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync} from 'node:fs';
import {request} from 'node:http';
import {connect} from 'node:net';
import {tmpdir} from 'node:os';
import {join, resolve} from 'node:path';
import {once} from 'node:events';
import {createInterface} from 'node:readline';

const BUILD = resolve(process.env.SPOTTER_BUILD ?? 'build');
export const SPOTTER = join(BUILD, 'src/spotter');

// Generous: it only decides when a test has hung.
const WATCHDOG_MS = 60000;

/** Waits until `check` returns something true; errors in it mean "not yet". */
export async function waitFor(what, check, ms = WATCHDOG_MS) {
  const end = Date.now() + ms;
  for (;;) {
    const value = await Promise.resolve().then(check).catch(() => false);
    if (value)
      return value;
    if (Date.now() > end)
      throw new Error(`waited in vain for ${what}`);
    await new Promise(resolve => setTimeout(resolve, 20));
  }
}

export function temporaryDirectory(t) {
  const directory = mkdtempSync(join(tmpdir(), 'spotter-test-'));
  t.after(() => rmSync(directory, {recursive: true, force: true}));
  return directory;
}

/** A child process that is gone when the test is; `line(regexp)` waits for its output. */
export function start(t, command, args, options = {}) {
  const child = spawn(command, args, {stdio: ['ignore', 'pipe', 'pipe'], ...options});
  const lines = [];
  const waiting = new Set();
  for (const stream of [child.stdout, child.stderr]) {
    createInterface({input: stream}).on('line', line => {
      lines.push(line);
      for (const check of waiting)
        check();
    });
  }
  const exited = once(child, 'exit');
  exited.then(() => { for (const check of waiting) check(); });
  t.after(async () => {
    child.kill('SIGKILL');
    await exited;
  });
  return {
    child, lines, exited,
    line(regexp, ms = WATCHDOG_MS) {
      return new Promise((resolve, reject) => {
        const finish = (done, value) => {
          clearTimeout(timer);
          waiting.delete(check);
          done(value);
        };
        const check = () => {
          const found = lines.map(line => regexp.exec(line)).find(Boolean);
          if (found)
            finish(resolve, found);
          else if (child.exitCode !== null || child.signalCode)
            finish(reject, new Error(`${command} ended without ${regexp}:\n${lines.join('\n')}`));
        };
        const timer = setTimeout(() => finish(reject,
          new Error(`${command} never said ${regexp}:\n${lines.join('\n')}`)), ms);
        waiting.add(check);
        check();
      });
    },
  };
}

/** Runs a program to its end. */
export function run(command, args, options = {}) {
  return new Promise(resolve => {
    execFile(command, args, {timeout: WATCHDOG_MS, maxBuffer: 64 << 20, ...options},
      (error, stdout, stderr) => resolve({code: error ? error.code ?? 1 : 0, stdout, stderr}));
  });
}

/** A server on a free port. `streams` and `options` become -c arguments, `config` is the text of its file, or `configPath` one that is there; `launch` is a pipeline's words. */
export async function startSpotter(t, {streams = {}, options = {}, directory, launch, config, configPath} = {}) {
  const home = directory ?? temporaryDirectory(t);
  const settings = {'api.listen': '127.0.0.1:0', 'rtsp.listen': '127.0.0.1:0', 'app.state': join(home, 'state', 'streams.yaml'), ...options};
  const configs = Object.entries(settings).flatMap(([key, value]) => ['-c', Array.isArray(value)
    ? key.split('.').reduceRight((inner, word) => `{${word}: ${inner}}`, JSON.stringify(value)) : `${key}=${value}`]);
  for (const [name, source] of Object.entries(streams))
    configs.push('-c', JSON.stringify({streams: {[name]: source}}));
  if (config !== undefined)
    writeFileSync(configPath ??= join(home, 'spotter.yaml'), config);
  if (configPath)
    configs.unshift('-c', configPath);
  const env = {...process.env, HOME: home, XDG_CONFIG_HOME: join(home, 'config'),
    XDG_STATE_HOME: join(home, 'state'), G_DEBUG: 'fatal-criticals'};
  const server = start(t, SPOTTER, launch ? ['launch', '-c', 'api.listen=127.0.0.1:0', '-c', 'rtsp.listen=127.0.0.1:0', ...launch] : configs,
    {env, cwd: home});
  const [, port] = await server.line(/INF \[api\] listen addr=.*:(\d+)$/);
  const base = `http://127.0.0.1:${port}`;
  const rtsp = server.lines.map(line => /INF \[rtsp\] listen addr=(.*)$/.exec(line)).find(Boolean)?.[1];
  // A sanitizer's report or a critical warning fails the test that caused it.
  t.after(() => {
    const bad = server.lines.filter(line => /ERROR: \w+Sanitizer|runtime error:|CRITICAL/.test(line));
    const {exitCode, signalCode} = server.child;
    const died = exitCode || (signalCode && signalCode !== 'SIGKILL');
    if (bad.length || died)
      throw new Error(`the server ended with ${signalCode ?? exitCode}:\n${server.lines.slice(-60).join('\n')}`);
  });
  return {
    ...server, base, home, configPath, port: Number(port), pid: server.child.pid,
    rtsp: `rtsp://${rtsp}`, rtspPort: Number(rtsp?.split(':').pop()),
    get: path => fetch(base + path),
    json: async path => (await fetch(base + path)).json(),
    add: (name, src) => fetch(`${base}/api/streams`, {
      method: 'POST', headers: {'Content-Type': 'application/json'}, body: JSON.stringify({name, src})}),
    state: async name => (await (await fetch(`${base}/api/streams?src=${name}`)).json()).state,
    /** Ends it as systemd would, and says how long that took. */
    async stop() {
      const began = Date.now();
      server.child.kill('SIGTERM');
      const [code] = await server.exited;
      return {code, ms: Date.now() - began};
    },
  };
}

/** An RTSP camera of its own process. */
export async function startCamera(t, args = []) {
  const camera = start(t, join(BUILD, 'tests/rtsp-camera'), args);
  const [, port] = await camera.line(/^ready (\d+)/);
  return {...camera, port, url: `rtsp://127.0.0.1:${port}/camera`,
    connections: () => camera.lines.filter(line => line === 'client').length,
    async kill() {
      camera.child.kill('SIGKILL');
      await camera.exited;
    }};
}

/** An HTTP viewer that counts what it gets; `pause` stops reading. */
export function view(t, url, options = {}) {
  const viewer = {bytes: 0, closed: false, status: 0, chunks: options.keep ? [] : null, longestGap: 0};
  let last = 0;
  viewer.done = new Promise(resolve => {
    const req = request(url, {agent: false, headers: options.headers}, response => {
      viewer.status = response.statusCode;
      viewer.headers = response.headers;
      viewer.response = response;
      if (options.pause)
        response.pause();
      response.on('data', chunk => {
        const now = performance.now();
        viewer.bytes += chunk.length;
        viewer.chunks?.push(chunk);
        if (last)
          viewer.longestGap = Math.max(viewer.longestGap, now - last);
        last = now;
      });
      response.on('close', resolve);
    });
    req.on('error', resolve);
    req.end();
    viewer.close = () => req.destroy();
    t.after(viewer.close);
  }).then(() => { viewer.closed = true; });
  viewer.body = () => Buffer.concat(viewer.chunks);
  viewer.resetGap = () => { viewer.longestGap = 0; last = 0; };
  return viewer;
}

/** A bare TCP connection that sends `text` and then nothing. */
export function rawSocket(t, port, text) {
  const socket = connect({port, host: '127.0.0.1'});
  const state = {socket, text: '', closed: false};
  socket.on('data', chunk => { state.text += chunk.toString('latin1'); });
  state.done = new Promise(resolve => socket.on('close', resolve)).then(() => { state.closed = true; });
  socket.on('error', () => {});
  socket.write(text);
  t.after(() => socket.destroy());
  return state;
}

/** What ffprobe says of a file: its streams with counted frames. */
export async function probe(path) {
  const {stdout, stderr, code} = await run('ffprobe', ['-v', 'error', '-count_frames',
    '-show_streams', '-show_format', '-of', 'json', path]);
  if (code)
    throw new Error(`ffprobe: ${stderr}`);
  const {streams, format} = JSON.parse(stdout);
  const find = type => streams.find(stream => stream.codec_type === type);
  return {video: find('video'), audio: find('audio'), format};
}

export const countFds = pid => readdirSync(`/proc/${pid}/fd`).length;
export const countThreads = pid => readdirSync(`/proc/${pid}/task`).length;
export const rssKiB = pid =>
  Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))[1]);

/** CPU time in nanoseconds of all threads (tick accounting lies on virtual machines). */
export function cpuNs(pid) {
  let total = 0n;
  for (const task of readdirSync(`/proc/${pid}/task`)) {
    try {
      total += BigInt(readFileSync(`/proc/${pid}/task/${task}/schedstat`, 'utf8').split(' ')[0]);
    } catch {
      // the thread has just ended
    }
  }
  return Number(total);
}
