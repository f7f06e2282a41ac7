// SPDX-License-Identifier: LGPL-2.1-or-later
// The server's API as functions. An answer that is not 2xx throws an Error with the server's sentence.

/**
 * @param {string} path
 * @param {RequestInit} [init]
 * @returns {Promise<any>}
 */
async function ask(path, init = {}) {
  const response = await fetch(path, {
    ...init,
    headers: {Accept: 'application/json', ...init.headers},
  });
  const body = await response.json().catch(() => ({}));
  if (!response.ok)
    throw new Error(body.error ?? `the server answered ${response.status}`);
  return body;
}

export const getInfo = () => ask('api/info');

export const listStreams = () => ask('api/streams');

/**
 * @param {string} name
 * @param {string} src
 */
export const addStream = (name, src) => ask('api/streams', {
  method: 'POST',
  headers: {'Content-Type': 'application/json'},
  body: JSON.stringify({name, src}),
});

/** @param {string} name */
export const removeStream = name =>
  ask(`api/streams?src=${encodeURIComponent(name)}`, {method: 'DELETE'});
