// SPDX-License-Identifier: LGPL-2.1-or-later
// The server's API as functions. An answer that is not 2xx throws an Error with the server's sentence.

/**
 * @param {string} path
 * @param {RequestInit} [init]
 * @returns {Promise<any>}
 */
async function ask(path, init = {}) {
  const response = await fetch(new URL(path, document.baseURI), {
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

/** @param {string} name */
export const getStream = name => ask(`api/streams?src=${encodeURIComponent(name)}`);

async function askText(path) {
  const response = await fetch(new URL(path, document.baseURI));
  const text = await response.text();
  if (!response.ok)
    throw new Error(text.trim() || `the server answered ${response.status}`);
  return text;
}

/** The graph of a stream, as DOT. @param {string} name */
export const getGraph = name => askText(`api/streams/${encodeURIComponent(name)}/graph`);

/** The configuration file, with *** for its credentials. */
export const getConfig = () => askText('api/config');

const postConfig = (path, text) => ask(path, {method: 'POST', headers: {'Content-Type': 'application/yaml'}, body: text});

/** @param {string} text */
export const checkConfig = text => postConfig('api/config?check=1', text);

/** @param {string} text */
export const saveConfig = text => postConfig('api/config', text);

/** Cameras of the server's machine, with their modes. */
export const listDevices = () => ask('api/devices');

/** The address of something of a stream. */
export const address = (path, name) => new URL(`${path}?src=${encodeURIComponent(name)}`, document.baseURI).href;

/** What a stream is doing, in a line. */
export function describe(stream) {
  const viewers = stream.consumers?.length ?? 0;
  const codec = stream.producers?.flatMap(({receivers}) => receivers ?? []).map(receiver => receiver.codec)
    .find(({codec_type}) => codec_type === 'video');
  return [stream.state, codec && `${codec.codec_name.toUpperCase()} ${codec.width}×${codec.height}`,
    `${viewers} ${viewers === 1 ? 'viewer' : 'viewers'}`, stream.reason].filter(Boolean).join(' · ');
}
