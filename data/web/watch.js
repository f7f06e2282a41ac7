// SPDX-License-Identifier: LGPL-2.1-or-later
// `/watch.html?src=NAME`: one stream with all that is known of it.

import './video-rtc.js';
import {address, describe, getGraph, getInfo, getStream} from './api.js';
import {draw} from './graph.js';
import {Skeleton, toggle} from './pose.js';

const REFRESH_MS = 2000, FIGURES_MS = 1000;
const MODES = [['Automatic', ''], ['WebRTC', 'webrtc'], ['MSE', 'mse'], ['HLS', 'hls'], ['MJPEG', 'mjpeg']];

const $ = selector => document.querySelector(selector);
const name = new URLSearchParams(location.search).get('src') ?? '';
const player = document.createElement('video-stream');

function makeModes() {
  for (const [label, mode] of MODES) {
    const radio = Object.assign(document.createElement('input'), {type: 'radio', name: 'mode', value: mode, checked: !mode});
    radio.addEventListener('change', () => {
      if (mode)
        player.mode = mode;
      else
        player.removeAttribute('mode');
    });
    const wrapper = document.createElement('label');
    wrapper.append(radio, ` ${label}`);
    $('#modes').append(wrapper);
  }
}

function addLink(label, text, href = text) {
  const item = document.createElement('li');
  const link = Object.assign(document.createElement(href ? 'a' : 'code'), {textContent: text});
  if (href)
    link.href = href;
  const button = Object.assign(document.createElement('button'), {type: 'button', className: 'copy', textContent: 'Copy'});
  button.setAttribute('aria-label', `Copy ${label}`);
  button.addEventListener('click', async () => {
    const done = await navigator.clipboard.writeText(text).then(() => 'Copied', () => 'Not allowed here');
    button.textContent = done;
    setTimeout(() => { button.textContent = 'Copy'; }, 1500);
  });
  item.append(Object.assign(document.createElement('span'), {textContent: label}), link, button);
  $('#links').append(item);
}

async function makeLinks() {
  const info = await getInfo().catch(() => null);
  const port = /:(\d+)$/.exec(info?.rtsp.listen ?? '')?.[1];
  if (port)
    addLink('RTSP', `rtsp://${location.hostname}:${port}/${encodeURIComponent(name)}`);
  addLink('Player', address('stream.html', name));
  addLink('MP4', address('stream.mp4', name));
  addLink('HLS', address('stream.m3u8', name));
  addLink('WHEP', new URL(`whep/${encodeURIComponent(name)}`, document.baseURI).href, '');
  addLink('Motion JPEG', address('stream.mjpeg', name));
  addLink('MPEG-TS', address('stream.ts', name));
  addLink('Picture', address('api/frame.jpeg', name));
  const ws = new URL(`api/ws?src=${encodeURIComponent(name)}`, document.baseURI);
  ws.protocol = ws.protocol.replace('http', 'ws');
  addLink('In a page', `<script type="module" src="${new URL('video-rtc.js', document.baseURI)}"></script>` +
    `<video-stream src="${ws}"></video-stream>`, '');
}

let before = null;
async function figures() {
  const now = await player.stats().catch(() => null);
  const time = performance.now();
  if (!now) {
    $('#figures').textContent = player.dataset.why ?? '';
  } else if (before?.mode === now.mode && now.frames >= before.frames) {
    const seconds = (time - before.time) / 1000;
    const words = [`${now.width}×${now.height}`, `${((now.frames - before.frames) / seconds).toFixed(0)} fps`,
      `${((now.bytes - before.bytes) * 8 / seconds / 1000).toFixed(0)} kbit/s`,
      now.mode === 'mjpeg' ? '' : `${(now.behind * 1000).toFixed(0)} ms buffered`,
      now.rtt === undefined ? '' : `${(now.rtt * 1000).toFixed(0)} ms round trip`, `${now.drops} dropped`, player.dataset.why];
    $('#figures').textContent = words.filter(Boolean).join(' · ');
  }
  before = now && {...now, time};
}

async function refresh() {
  try {
    const stream = await getStream(name);
    $('#state').dataset.state = stream.state;
    $('#state').textContent = describe(stream);
    draw($('#graph'), await getGraph(name), REFRESH_MS / 1000);
  } catch (error) {
    $('#state').textContent = error.message;
  }
}

$('#name').textContent = name;
document.title = `${name} – Spotter`;
makeModes();
player.src = name;
$('#player').append(player);
player.skeleton = new Skeleton(player, $('#space'));
toggle($('#skeleton'), player.skeleton, on => { $('#space').hidden = !on; });
await makeLinks();
await refresh();
setInterval(() => document.hidden || refresh(), REFRESH_MS);
setInterval(() => document.hidden || figures(), FIGURES_MS);
