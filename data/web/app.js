// SPDX-License-Identifier: LGPL-2.1-or-later
// The page of all streams: a card each, with a picture every two seconds while it can be seen.

import {address, addStream, describe, getInfo, listDevices, listStreams, removeStream} from './api.js';

const REFRESH_MS = 2000;
const PICTURE_MS = 2000, AFTER_FAILURE_MS = 5000;
const PICTURE_WIDTH = 640;

const $ = selector => document.querySelector(selector);

/** @type {Map<string, HTMLElement>} */
const cards = new Map();

// A picture that nobody sees is not asked for.
const visible = new IntersectionObserver(entries => {
  for (const {target, isIntersecting} of entries)
    show(target, isIntersecting && !document.hidden);
});

/**
 * @param {HTMLImageElement} img
 * @param {boolean} on
 */
function show(img, on) {
  const was = img.dataset.on;
  img.dataset.on = on ? 'on' : '';
  clearTimeout(timers.get(img));
  if (on && !was)
    ask(img);
}

/** @type {WeakMap<HTMLImageElement, number>} */
const timers = new WeakMap();

function askLater(img, ms) {
  clearTimeout(timers.get(img));
  timers.set(img, setTimeout(ask, ms, img));
}

/** @param {HTMLImageElement} img */
function ask(img) {
  if (img.dataset.on)
    img.src = `${address('api/frame.jpeg', img.dataset.name)}&w=${PICTURE_WIDTH}&cache=2s&t=${Date.now()}`;
}

function makeCard(name) {
  const card = $('#card').content.firstElementChild.cloneNode(true);
  const img = card.querySelector('img');
  const link = card.querySelector('.name');
  link.textContent = name;
  for (const to of [link, card.querySelector('.picture')])
    to.href = address('watch.html', name);
  img.alt = `Picture of ${name}`;
  img.dataset.name = name;
  img.addEventListener('load', () => askLater(img, PICTURE_MS));
  img.addEventListener('error', () => askLater(img, AFTER_FAILURE_MS));
  const button = card.querySelector('.remove');
  button.setAttribute('aria-label', `Remove ${name}`);
  button.addEventListener('click', () => remove(name));
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
  const state = card.querySelector('.state');
  state.dataset.state = stream.state;
  state.textContent = describe(stream);
  card.querySelector('.source').textContent = stream.src || 'waits for a publisher';
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
    const img = card.querySelector('img');
    visible.unobserve(img);
    show(img, false);
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

/** Cameras of this machine, each with what it can do; one that is chosen fills in the source. */
async function offerCameras() {
  const {cameras} = await listDevices();
  const select = $('#add').elements.camera;
  const chosen = select.value;
  select.replaceChildren(select.options[0], ...cameras.map(({name, path, stream, modes}) => {
    const group = Object.assign(document.createElement('optgroup'), {label: stream ? `${name} (in use: ${stream})` : name});
    group.append(new Option(`${path}, as it likes`, path), ...modes.map(({format, width, height, fps, source}) =>
      new Option([format || 'raw', `${width}×${height}`, fps && `${Math.round(fps)} fps`].filter(Boolean).join(' · '), source)));
    return group;
  }));
  select.value = chosen;
  $('#cameras').hidden = !cameras.length;
}

$('#add').elements.camera.addEventListener('change', ({target}) => {
  $('#add').elements.src.value = target.value;
});
// One that was plugged in meanwhile is there when somebody begins to fill in the form.
$('#add').elements.name.addEventListener('focus', () => offerCameras().catch(() => {}));

document.addEventListener('visibilitychange', () => {
  for (const card of cards.values()) {
    const img = card.querySelector('img');
    visible.unobserve(img);
    visible.observe(img);
  }
});

getInfo().then(info => { document.title = `Spotter ${info.spotter_version}`; }, () => {});
await Promise.all([refresh(), offerCameras().catch(() => {})]);
setInterval(() => document.hidden || refresh(), REFRESH_MS);
