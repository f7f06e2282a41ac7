// SPDX-License-Identifier: LGPL-2.1-or-later
// `/config.html`: the configuration file. It is checked while one writes, and saved only when it is right.

import {checkConfig, getConfig, getInfo, saveConfig} from './api.js';

const CHECK_MS = 400;
const $ = selector => document.querySelector(selector);
const form = $('#editor'), area = form.elements.text, button = form.querySelector('button');

let saved = '', timer = 0, round = 0;

/** @param {string} sentence @param {boolean} [bad] */
function say(sentence, bad) {
  $('#sentence').textContent = sentence;
  $('#sentence').classList.toggle('good', !bad);
  area.setAttribute('aria-invalid', String(Boolean(bad)));
}

/** What the server thinks of it: warnings, and what waits for a restart. */
const judge = ({warnings, restart}) => [...warnings,
  restart.length ? `After a restart of the server: ${restart.join(', ')}.` : ''].filter(Boolean).join(' ');

/** "…:12: what" or "line 12: what": the line is shown. */
function showLine(sentence) {
  const line = Number(/(?:^line |:)(\d+): /.exec(sentence)?.[1]);
  if (!line)
    return;
  const lines = area.value.split('\n');
  const start = lines.slice(0, line - 1).join('\n').length + (line > 1 ? 1 : 0);
  area.focus();
  area.setSelectionRange(start, start + (lines[line - 1]?.length ?? 0));
}

async function check() {
  const mine = ++round;
  const text = area.value;
  try {
    const answer = await checkConfig(text);
    if (mine !== round)
      return;
    say(text === saved ? '' : judge(answer) || 'It can be saved.');
    button.disabled = text === saved;
  } catch (error) {
    if (mine !== round)
      return;
    say(error.message, true);
    button.disabled = true;
  }
}

async function save() {
  const text = area.value;
  clearTimeout(timer);
  round++;
  try {
    const answer = await saveConfig(text);
    saved = text;
    button.disabled = true;
    say(['Saved; the streams are as it says.', judge(answer)].join(' ').trim());
  } catch (error) {
    say(error.message, true);
    showLine(error.message);
  }
}

area.addEventListener('input', () => {
  clearTimeout(timer);
  button.disabled = true;
  timer = setTimeout(check, CHECK_MS);
});
form.addEventListener('submit', event => {
  event.preventDefault();
  save();
});
addEventListener('keydown', event => {
  if (!(event.ctrlKey || event.metaKey) || event.key !== 's')
    return;
  event.preventDefault();
  save();
});
addEventListener('beforeunload', event => area.value !== saved && event.preventDefault());

getInfo().then(({config_path}) => { $('#path').textContent = config_path; }, () => {});
try {
  saved = area.value = (await getConfig()).replaceAll('\r\n', '\n');
} catch (error) {
  say(error.message, true);
  area.readOnly = true;
}
