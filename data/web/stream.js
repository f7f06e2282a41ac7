// SPDX-License-Identifier: LGPL-2.1-or-later
// `/stream.html?src=NAME&mode=webrtc,mse`: one or more streams, nothing else.

import './video-rtc.js';

const params = new URLSearchParams(location.search);
const names = params.getAll('src').filter(Boolean);
document.title = names.join(', ') || 'Spotter';
// The pages of other names that people link to, each of one mode.
const mode = params.get('mode') ?? {'webrtc.html': 'webrtc', 'hls.html': 'hls'}[location.pathname.split('/').pop()];
for (const name of names) {
  const player = document.createElement('video-stream');
  if (mode)
    player.mode = mode;
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
