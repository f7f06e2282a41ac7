// SPDX-License-Identifier: LGPL-2.1-or-later
// Headless browsers, and looking at what they show.

import {existsSync, mkdirSync} from 'node:fs';
import {chromium} from 'playwright-core';
import puppeteer from 'puppeteer-core';

const FLAGS = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
  '--disable-component-update', '--disable-sync', '--autoplay-policy=no-user-gesture-required'];
const CHROMIUM = '/usr/bin/chromium', FIREFOX = '/usr/bin/firefox-esr';

export async function openBrowser(t, flags = []) {
  if (!existsSync(CHROMIUM)) {
    t.skip('chromium is missing: apt-get install chromium');
    return null;
  }
  const browser = await chromium.launch({executablePath: CHROMIUM, args: [...FLAGS, ...flags]});
  t.after(() => browser.close());
  return browser;
}

/** Firefox by WebDriver BiDi. */
export async function openFirefox(t) {
  if (!existsSync(FIREFOX)) {
    t.skip('firefox is missing: apt-get install firefox-esr');
    return null;
  }
  const browser = await puppeteer.launch({browser: 'firefox', executablePath: FIREFOX, headless: true,
    extraPrefsFirefox: {'media.autoplay.default': 0, 'media.peerconnection.ice.loopback': false}});
  t.after(() => browser.close());
  return browser;
}

export async function openPage(t, browser, size = {width: 1280, height: 900}) {
  const context = await browser.newContext({viewport: size, acceptDownloads: false});
  const page = await context.newPage();
  const problems = [];
  page.on('pageerror', error => problems.push(String(error)));
  page.on('console', message => message.type() === 'error' && problems.push(message.text()));
  return {page, problems};
}

/** The screenshots are kept where SPOTTER_SCREENSHOTS says, to be looked at. */
export async function keep(page, name) {
  const directory = process.env.SPOTTER_SCREENSHOTS;
  if (!directory)
    return;
  mkdirSync(directory, {recursive: true});
  await page.screenshot({path: `${directory}/${name}.png`});
}

/** Average colour, the colours along the upper third and a checksum of what an <img> or <video> shows. */
export const look = (page, selector) => page.$eval(selector, element => {
  const canvas = Object.assign(document.createElement('canvas'), {width: 160, height: 90});
  const context = canvas.getContext('2d');
  context.drawImage(element, 0, 0, 160, 90);
  const {data} = context.getImageData(0, 0, 160, 90);
  const mean = [0, 0, 0];
  let sum = 0;
  for (let i = 0; i < data.length; i += 4) {
    for (let c = 0; c < 3; c++)
      mean[c] += data[i + c] / (data.length / 4);
    sum = (sum * 31 + data[i] + data[i + 1]) | 0;
  }
  const bars = Array.from({length: 7}, (_, bar) => {
    const at = (20 * 160 + Math.floor((bar + 0.5) * 160 / 7)) * 4;
    return [...data.slice(at, at + 3)];
  });
  return {mean, sum, bars};
});

/** SMPTE's seven bars: white, yellow, cyan, green, magenta, red, blue. */
export function areBars(bars) {
  const expected = [[1, 1, 1], [1, 1, 0], [0, 1, 1], [0, 1, 0], [1, 0, 1], [1, 0, 0], [0, 0, 1]];
  return bars.every((bar, i) => bar.every((value, c) => expected[i][c] ? value > 120 : value < 70));
}

/** The drawn climber's wall is brown: red over green over blue, and neither black nor green. */
export const isWall = ({mean}) => mean[0] > mean[1] && mean[1] > mean[2] && mean[0] > 80;

/** What a page's player says of itself. */
export const player = page => page.$eval('video-stream', async element => ({...element.dataset,
  time: element.video?.currentTime ?? 0, ...await element.stats()}));
