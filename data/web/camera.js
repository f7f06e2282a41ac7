// SPDX-License-Identifier: LGPL-2.1-or-later
// `/camera/`: one picture, what the server and the stream do, and the choice of another.

import './video-rtc.js';
import {addStream, describe, listStreams} from './api.js';
import {Skeleton, toggle} from './pose.js';

const REFRESH_MS = 2000;
const OTHER = 'other';

const $ = selector => document.querySelector(selector);
const select = $('select');
const player = document.createElement('video-stream');
let shown = new URLSearchParams(location.search).get('src') ?? 'camera';

function show(name) {
  shown = name;
  player.src = name;
}

function fillSelect(names) {
  const same = names.length === select.options.length && names.every((name, i) => select.options[i].value === name);
  if (!same)
    select.replaceChildren(...names.map(name => new Option(name, name)));
  select.value = shown;
}

async function refresh() {
  try {
    const streams = await listStreams();
    const names = Object.keys(streams);
    $('#connection').textContent = 'connected';
    $('#connection').dataset.state = 'live';
    if (!(shown in streams) && names.length)
      show(names[0]);
    fillSelect(names);
    $('#state').textContent = shown in streams ? describe(streams[shown]) : 'there is no stream yet: add one on the first page';
    $('#state').dataset.state = streams[shown]?.state ?? '';
  } catch (error) {
    $('#connection').textContent = `no answer: ${error.message}`;
    $('#connection').dataset.state = 'failed';
  }
}

select.addEventListener('change', () => show(select.value));
$('#full').addEventListener('click', () => player.requestFullscreen?.());
$('#choose').addEventListener('submit', async event => {
  event.preventDefault();
  const {src} = event.target.elements;
  try {
    $('#sentence').textContent = '';
    if (src.value.trim()) {
      await addStream(OTHER, src.value.trim());
      show(OTHER);
      src.value = '';
    }
  } catch (error) {
    $('#sentence').textContent = error.message;
  }
  await refresh();
});

$('#player').append(player);
show(shown);
player.skeleton = new Skeleton(player);
toggle($('#skeleton'), player.skeleton);
await refresh();
setInterval(() => document.hidden || refresh(), REFRESH_MS);
