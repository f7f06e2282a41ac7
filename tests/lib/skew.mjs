// SPDX-License-Identifier: LGPL-2.1-or-later
// Which picture a browser shows, and of which picture the skeleton on it is, both read from what the
// page has: the number in the picture's blocks, and where the climber stands (numbered.h).

import {player} from './browser.mjs';
import {waitFor} from './lib.mjs';

const COUNT = 4096, FROM = 0.28, STEP = 0.0275, NEAR = 6;
// A quarter of the least distance between neighbours is farther off than any pose was seen to be.
const CLEAR = STEP / 4;

const place = number => FROM + STEP * (number % 32 < 16 ? number % 32 : 31.5 - number % 32);

/** The picture, of those near `number`, whose climber stands at `x`, less that; null: none does. */
export function offsetOf(number, x) {
  let best = null, least = CLEAR;
  for (let offset = -NEAR; offset <= NEAR; offset++) {
    const away = Math.abs(place((number + offset + COUNT) % COUNT) - x);
    if (away < least)
      [best, least] = [offset, away];
  }
  return best;
}

/** In the page: for `ms`, of every frame shown [number in its blocks or null, how, x of the skeleton, time, pose's time]. */
const watch = (page, ms) => page.$eval('video-stream', async (element, ms) => {
  const {video, skeleton} = element;
  const [width, height] = [640, 360];
  const canvas = Object.assign(document.createElement('canvas'), {width, height: height / 15});
  const context = canvas.getContext('2d', {willReadFrequently: true});
  const all = [];
  /** Sixteen blocks: twelve bits, and four that check them. */
  const read = () => {
    context.drawImage(video, 0, video.videoHeight * 14 / 15, video.videoWidth, video.videoHeight / 15, 0, 0, width, canvas.height);
    const {data} = context.getImageData(0, 0, width, canvas.height);
    let code = 0;
    for (let i = 0; i < 16; i++)
      code = code << 1 | (data[((canvas.height >> 1) * width + Math.floor((i + 0.5) * width / 16)) * 4] > 127);
    const number = code >> 4;
    return ((number ^ number >> 4 ^ number >> 8 ^ 5) & 15) === (code & 15) ? number : null;
  };
  const end = performance.now() + ms;
  const webrtc = element.dataset.mode === 'webrtc';
  await new Promise(resolve => {
    let last = 0;
    const shown = (now, {rtpTimestamp, mediaTime, presentedFrames}) => {
      const time = webrtc ? rtpTimestamp : mediaTime;
      const number = read();
      const missed = last ? presentedFrames - last - 1 : 0;
      last = presentedFrames;
      if (performance.now() < end)
        video.requestVideoFrameCallback(shown);
      // whichever callback comes first, the skeleton's has come after both
      setTimeout(() => {
        const {time: of, how, people, found} = skeleton.shown;
        const p = people[0]?.landmarks;
        if (of === time)
          all.push({number, how, x: p ? (p[11].x + p[12].x + p[23].x + p[24].x) / 4 : null, time, found, missed});
        if (performance.now() >= end)
          resolve();
      });
    };
    video.requestVideoFrameCallback(shown);
  });
  return all;
}, ms);

/** Every picture is analysed, and its pose is that of this picture alone. */
export const skewOptions = {'pose.fps': '0', 'pose.smoothing': 'false'};

/**
 * Watches a stream of numbered pictures with the skeleton on.
 * @returns of the frames shown: how many `frames`, `how` their poses were known, how many were
 *   skipped (`missed`). Of those with exact poses: `offsets` (number of the pose's picture less that
 *   of the one shown, or "unread", "unclear" → how many), how many could be `read`, and the most
 *   `ticks` of 90 kHz between the time of the frame and that of its pose.
 */
export async function measureSkew(page, base, name, mode, ms) {
  await page.goto(`${base}/watch.html?src=${name}`);
  await page.check(`input[value=${mode}]`);
  if (!await page.isChecked('#skeleton'))
    await page.check('#skeleton');
  await waitFor(mode, async () => (await player(page)).mode === mode);
  await waitFor('exact frames', () => page.$eval('video-stream', ({skeleton}) => skeleton.counts.exact > 30));
  const seen = await watch(page, ms);
  const result = {frames: seen.length, missed: 0, how: {exact: 0, between: 0, held: 0, none: 0}, offsets: {}, read: 0, ticks: 0};
  for (const {number, how, x, time, found, missed} of seen) {
    result.missed += missed;
    result.how[how]++;
    if (how !== 'exact')
      continue;
    const offset = number === null ? 'unread' : x === null ? 'nobody' : offsetOf(number, x) ?? 'unclear';
    result.offsets[offset] = (result.offsets[offset] ?? 0) + 1;
    result.read += Number.isInteger(offset);
    result.ticks = Math.max(result.ticks, Math.abs(mode === 'webrtc' ? (time - found) | 0 : (time - found) * 90000));
  }
  return result;
}

/** Of the frames with exact poses, the part that are at most `most` off; what cannot be told is off. */
export const share = (skew, most) => Object.entries(skew.offsets)
  .reduce((sum, [offset, n]) => sum + (Math.abs(Number(offset)) <= most ? n : 0), 0) / Math.max(1, skew.how.exact);

/** In words. */
export const offsets = skew => `${Object.entries(skew.offsets)
  .map(([offset, n]) => `${offset}: ${(n / skew.how.exact * 100).toFixed(2)} %`).join(', ')} of ${skew.how.exact} exact, ` +
  `${skew.frames} shown, ${skew.missed} skipped; times ${skew.ticks.toFixed(2)} ticks apart`;
