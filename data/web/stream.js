// SPDX-License-Identifier: LGPL-2.1-or-later
// `/stream.html?src=NAME&mode=mse,mjpeg`: one or more streams, nothing else.

import './video-rtc.js';

const params = new URLSearchParams(location.search);
const names = params.getAll('src').filter(Boolean);
document.title = names.join(', ') || 'Spotter';
for (const name of names) {
  const player = document.createElement('video-stream');
  if (params.has('mode'))
    player.mode = params.get('mode');
  if (params.has('media'))
    player.media = params.get('media');
  player.background = params.get('background') !== 'false';
  player.src = name;
  document.body.append(player);
}
if (!names.length) {
  const sentence = document.createElement('p');
  sentence.textContent = 'The address names no stream: add ?src=NAME.';
  document.body.append(sentence);
}
