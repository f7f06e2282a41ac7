// SPDX-License-Identifier: LGPL-2.1-or-later
// The page of all streams: a card each, with a moving picture while it can be seen.

import {addStream, getInfo, listStreams, removeStream} from './api.js';

const REFRESH_MS = 2000;
// A browser opens six connections to a server: so many cards stream, the others ask for pictures.
const STREAMING_MAX = 4;
const PICTURE_MS = 1000;

const $ = selector => document.querySelector(selector);

/** @type {Map<string, HTMLElement>} */
const cards = new Map();

const ADDRESSES = [
  ['Watch', 'stream.html'],
  ['MP4', 'stream.mp4'],
  ['MJPEG', 'stream.mjpeg'],
  ['TS', 'stream.ts'],
  ['Picture', 'api/frame.jpeg'],
];

const address = (path, name) =>
  new URL(`${path}?src=${encodeURIComponent(name)}`, document.baseURI).href;

const info = await getInfo().catch(() => null);

/** The RTSP door's address of a stream, on the host that this page came from; '' when it is closed. */
function rtspAddress(name) {
  const port = /:(\d+)$/.exec(info?.rtsp.listen ?? '')?.[1];
  return port ? `rtsp://${location.hostname}:${port}/${encodeURIComponent(name)}` : '';
}

// A picture that nobody sees is not asked for: the connection closes when the card leaves the view.
const visible = new IntersectionObserver(entries => {
  for (const {target, isIntersecting} of entries)
    play(target, isIntersecting && !document.hidden);
});

/**
 * @param {HTMLImageElement} img
 * @param {boolean} on
 */
function play(img, on) {
  img.dataset.on = '';
  if (!on) {
    img.removeAttribute('src');
    return;
  }
  const streaming = document.querySelectorAll('img[data-on=stream]').length;
  img.dataset.on = streaming < STREAMING_MAX ? 'stream' : 'pictures';
  show(img);
}

/** @param {HTMLImageElement} img */
function show(img) {
  const path = img.dataset.on === 'stream' ? 'stream.mjpeg' : 'api/frame.jpeg';
  img.src = `${address(path, img.dataset.name)}&t=${Date.now()}`;
}

function copyButton(label, text) {
  const button = document.createElement('button');
  button.type = 'button';
  button.className = 'copy';
  button.textContent = label;
  button.title = `Copy ${text}`;
  button.addEventListener('click', async () => {
    try {
      await navigator.clipboard.writeText(text);
      button.textContent = 'Copied';
    } catch {
      button.textContent = 'Not allowed here';
    }
    setTimeout(() => { button.textContent = label; }, 1500);
  });
  return button;
}

function makeCard(name) {
  const card = $('#card').content.firstElementChild.cloneNode(true);
  const img = card.querySelector('img');
  card.querySelector('h2').textContent = name;
  card.querySelector('.picture').href = address('stream.html', name);
  img.alt = `Live picture of ${name}`;
  img.dataset.name = name;
  // A source that failed is tried again by the server; ask again when it may be back.
  img.addEventListener('error', () => setTimeout(() => img.dataset.on && show(img), 3000));
  img.addEventListener('load', () => {
    if (img.dataset.on === 'pictures')
      setTimeout(() => img.dataset.on === 'pictures' && show(img), PICTURE_MS);
  });
  const nav = card.querySelector('nav');
  const links = ADDRESSES.map(([label, path]) => [label, address(path, name)]);
  const rtsp = rtspAddress(name);
  if (rtsp)
    links.push(['RTSP', rtsp]);
  for (const [label, href] of links) {
    const link = document.createElement('a');
    link.href = href;
    link.textContent = label;
    nav.append(link, copyButton('copy', href));
  }
  card.querySelector('.remove').addEventListener('click', () => remove(name));
  visible.observe(img);
  return card;
}

async function remove(name) {
  if (!confirm(`Remove the stream ${name}? Its viewers will be disconnected.`))
    return;
  try {
    await removeStream(name);
    say('');
  } catch (error) {
    say(error.message);
  }
  await refresh();
}

function say(sentence) {
  $('#sentence').textContent = sentence;
}

function update(card, stream) {
  const viewers = stream.consumers?.length ?? 0;
  const state = card.querySelector('.state');
  state.dataset.state = stream.state;
  state.textContent = `${stream.state} · ${viewers} ${viewers === 1 ? 'viewer' : 'viewers'}` +
    (stream.reason ? ` · ${stream.reason}` : '');
  card.querySelector('.source').textContent = stream.src;
}

async function refresh() {
  let streams;
  try {
    streams = await listStreams();
  } catch (error) {
    $('#server').textContent = `No answer from the server: ${error.message}`;
    return;
  }
  $('#server').textContent = '';
  for (const [name, card] of cards) {
    if (name in streams)
      continue;
    visible.unobserve(card.querySelector('img'));
    play(card.querySelector('img'), false);
    card.remove();
    cards.delete(name);
  }
  for (const [name, stream] of Object.entries(streams)) {
    if (!cards.has(name)) {
      cards.set(name, makeCard(name));
      $('#streams').append(cards.get(name));
    }
    update(cards.get(name), stream);
  }
  $('#none').hidden = cards.size > 0;
}

$('#add').addEventListener('submit', async event => {
  event.preventDefault();
  const form = event.target;
  try {
    await addStream(form.elements.name.value.trim(), form.elements.src.value.trim());
    form.reset();
    say('');
  } catch (error) {
    say(error.message);
  }
  await refresh();
});

document.addEventListener('visibilitychange', () => {
  for (const card of cards.values()) {
    const img = card.querySelector('img');
    visible.unobserve(img);
    visible.observe(img);
  }
});

if (info)
  document.title = `Spotter ${info.spotter_version}`;
await refresh();
setInterval(() => document.hidden || refresh(), REFRESH_MS);
