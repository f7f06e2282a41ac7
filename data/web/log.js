// SPDX-License-Identifier: LGPL-2.1-or-later
// `/log.html`: what the server has said last, the newest first.

const REFRESH_MS = 2000;
const $ = selector => document.querySelector(selector);
const LOG = new URL('api/log', document.baseURI);

function row({time, level, message}) {
  const tr = document.createElement('tr');
  tr.dataset.level = level;
  for (const text of [new Date(time).toLocaleTimeString(), level, message])
    tr.append(Object.assign(document.createElement('td'), {textContent: text}));
  return tr;
}

async function refresh() {
  try {
    const response = await fetch(LOG);
    const text = await response.text();
    if (!response.ok)
      throw new Error(text.trim());
    const lines = text.split('\n').filter(Boolean).map(line => JSON.parse(line)).reverse();
    $('tbody').replaceChildren(...lines.filter(({level}) => !$('#level').value || level === 'warn' || level === 'error').map(row));
    $('#server').textContent = '';
  } catch (error) {
    $('#server').textContent = `No answer from the server: ${error.message}`;
  }
}

$('#level').addEventListener('change', refresh);
$('#clear').addEventListener('click', async () => {
  await fetch(LOG, {method: 'DELETE'});
  await refresh();
});
await refresh();
setInterval(() => document.hidden || refresh(), REFRESH_MS);
